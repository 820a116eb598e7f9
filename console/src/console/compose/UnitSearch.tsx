// Units by name, with or without accents; by an old name, which finds its successors; or by codes
// pasted from anywhere.
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../../shared/language";
import { codesIn, fitness, plain } from "../../shared/text";
import { outside } from "../api";
import type { Unit, Units } from "../types";

const SHOWN_MAX = 12;
// The types know a combobox only with a list of its own element.
const COMBOBOX = { role: "combobox" } as object;
/** Old names are asked of the node a little after the last letter. */
const QUIET_MS = 200;

interface Found { unit: Unit; old: boolean }

export function useUnitSearch(city: Units | null, text: string): Found[] {
  const [successors, setSuccessors] = useState<string[]>([]);
  const query = plain(text);
  useEffect(() => {
    setSuccessors([]);
    if (query.length < 2) return undefined;
    let gone = false;
    const timer = setTimeout(() => {
      outside<{ units: { code: string }[] }>(`/v1/units?search=${encodeURIComponent(text)}`)
        .then((found) => gone || setSuccessors(found.units.map(({ code }) => code)))
        .catch(() => undefined);
    }, QUIET_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [query]);
  if (city === null || query === "") return [];
  const scored = city.units
    .map((unit) => ({ unit, score: Math.max(fitness(plain(unit.name), query), unit.code === query ? 4 : 0) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.unit.name.localeCompare(b.unit.name, "vi"));
  const found: Found[] = scored.map(({ unit }) => ({ unit, old: false }));
  for (const code of successors) {
    const unit = city.units.find((one) => one.code === code);
    if (unit && !found.some((one) => one.unit === unit)) found.push({ unit, old: true });
  }
  return found.slice(0, SHOWN_MAX);
}

export function UnitSearch(props: {
  city: Units; chosen: string[]; onToggle: (code: string) => void; onAdd: (codes: string[]) => void;
}) {
  const { city, chosen, onToggle, onAdd } = props;
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const box = useRef<HTMLInputElement>(null);
  const found = useUnitSearch(city, text);
  const codes = codesIn(text).filter((code) => city.units.some((unit) => unit.code === code));
  const pasted = codes.length > 1;
  const choose = (code: string) => {
    onToggle(code);
    setText("");
    setAt(0);
    box.current?.focus();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Escape") setText("");
    else if (event.key === "Enter" && pasted) {
      onAdd(codes);
      setText("");
    } else if (event.key === "Enter" && found[at]) choose(found[at].unit.code);
    else return;
    event.preventDefault();
  };
  const open = text !== "" && !pasted && found.length > 0;
  return (
    <div class="search">
      <input
        ref={box} type="search" value={text} {...COMBOBOX} aria-expanded={open} aria-controls="units-found"
        aria-activedescendant={open ? `found-${at}` : undefined} aria-autocomplete="list" autocomplete="off"
        placeholder={t("Tìm phường, xã (thu duc), tên cũ, hoặc dán mã", "Find a unit (thu duc), an old name, or paste codes")}
        aria-label={t("Tìm đơn vị hoặc dán mã", "Find units or paste codes")}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={keys}
      />
      {pasted && (
        <button type="button" class="primary" onClick={() => { onAdd(codes); setText(""); }}>
          {t(`Thêm ${codes.length} đơn vị theo mã`, `Add ${codes.length} units by code`)}
        </button>
      )}
      <ul id="units-found" role="listbox" hidden={!open} aria-label={t("Kết quả", "Results")}>
        {found.map(({ unit, old }, index) => (
          <li
            key={unit.code} id={`found-${index}`} role="option" aria-selected={index === at}
            class={index === at ? "is-at" : ""} onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(unit.code)}
          >
            <span>{unit.name}</span>
            <small>
              {old && <em>{t("tên cũ khớp · ", "old name · ")}</em>}
              {unit.code}{chosen.includes(unit.code) && ` · ${t("đã chọn", "chosen")}`}
            </small>
          </li>
        ))}
      </ul>
      {text !== "" && !pasted && found.length === 0 && (
        <p class="hint" role="status">{t("Không thấy đơn vị nào.", "No unit found.")}</p>
      )}
    </div>
  );
}
