// Where one wants to be warned for: found by name, or by a position that is made coarse before it
// leaves the browser.
import { useEffect, useState } from "preact/hooks";
import { t } from "../shared/language";
import { useStore } from "../shared/store";
import { ask, choose, places, PLACES_MAX } from "./device";
import type { Place, Unit } from "./types";

const QUIET_MS = 200;
const SHOWN_MAX = 8;
/** Two decimals are about a kilometre: enough for a unit, too little for a house. */
const coarse = (degrees: number) => Math.round(degrees * 100) / 100;

export function Places() {
  const mine = useStore(places);
  const [text, setText] = useState("");
  const [found, setFound] = useState<Unit[]>([]);
  const [words, setWords] = useState("");
  useEffect(() => {
    if (text.trim().length < 2) {
      setFound([]);
      return undefined;
    }
    const timer = setTimeout(() => {
      ask<{ units: Unit[] }>("GET", `/v1/units?search=${encodeURIComponent(text.trim())}`, undefined, {})
        .then(({ units }) => {
          setFound(units.slice(0, SHOWN_MAX));
          setWords(units.length === 0 ? t("Không thấy phường, xã nào.", "No unit found.") : "");
        })
        .catch(() => setWords(t("Chưa tìm được: không có kết nối.", "Cannot search: no connection.")));
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const set = (next: Place[]) => {
    setWords("");
    choose(next.slice(0, PLACES_MAX)).catch(() => setWords(t("Chưa lưu được lên máy chủ; sẽ thử lại khi mở lại trang.", "Not saved on the server yet; it is tried again when you come back.")));
  };
  const add = (place: Place) => {
    setText("");
    setFound([]);
    if (!mine.some(({ code }) => code === place.code)) set([...mine, place]);
  };
  return (
    <section class="places" aria-labelledby="places-title">
      <h2 id="places-title">{t("Nơi bạn muốn được báo", "Places you want to be warned for")}</h2>
      {mine.length > 0 && (
        <ul class="place-list">
          {mine.map((place) => (
            <li key={place.code}>
              {place.name}
              <button type="button" aria-label={t(`Bỏ ${place.name}`, `Remove ${place.name}`)} onClick={() => set(mine.filter((one) => one !== place))}>✕</button>
            </li>
          ))}
        </ul>
      )}
      <label class="search-label">
        {t("Tìm phường, xã", "Find a ward or commune")}
        <input
          type="search" value={text} autocomplete="off" placeholder={t("ví dụ: thu duc", "for example: thu duc")}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && found[0] && add({ code: found[0].code, name: found[0].name })}
        />
      </label>
      {found.length > 0 && (
        <ul class="found">
          {found.map((unit) => (
            <li key={unit.code}><button type="button" onClick={() => add({ code: unit.code, name: unit.name })}>{unit.name}</button></li>
          ))}
        </ul>
      )}
      <Position add={add} />
      <p role="status">{words}</p>
    </section>
  );
}

function Position({ add }: { add: (place: Place) => void }) {
  const [state, setState] = useState("");
  if (!("geolocation" in navigator)) return null;
  const locate = () => {
    setState(t("Đang tìm…", "Looking…"));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => void place(coarse(coords.latitude), coarse(coords.longitude)),
      () => setState(t("Trình duyệt không cho biết vị trí. Hãy tìm theo tên.", "The browser gives no position. Search by name.")),
      { enableHighAccuracy: false, timeout: 10_000, maximumAge: 600_000 },
    );
  };
  const place = async (lat: number, lon: number) => {
    try {
      const { unit } = await ask<{ unit?: string }>("GET", `/v1/alerts/active?lat=${lat}&lon=${lon}`, undefined, {});
      const { units } = await ask<{ units: Unit[] }>("GET", "/v1/units", undefined, {});
      const found = units.find(({ code }) => code === unit);
      if (found) add({ code: found.code, name: found.name });
      setState(found ? "" : t("Bạn đang ở ngoài thành phố.", "You are outside the city."));
    } catch {
      setState(t("Bạn đang ở ngoài thành phố, hoặc không có kết nối.", "You are outside the city, or there is no connection."));
    }
  };
  return (
    <p>
      <button type="button" onClick={locate}>◎ {t("Dùng vị trí của tôi", "Use my position")}</button>{" "}
      <small class="under">{t("Làm tròn đến khoảng 1 km trước khi gửi, không lưu.", "Rounded to about 1 km before it is sent, and not kept.")}</small>
      <span role="status"> {state}</span>
    </p>
  );
}
