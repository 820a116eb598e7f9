// Manage: agencies, people, keys, the boundaries, providers, dead letters.
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { route } from "../router";
import { may, session, units } from "../state";
import { Heading } from "../ui/Heading";
import { Agencies } from "./Agencies";
import { Letters } from "./Letters";
import { People } from "./People";
import { ProvidersState } from "./ProvidersState";
import { Requests } from "./Requests";

const PARTS: readonly [string, string, string, "admin" | "operate"][] = [
  ["people", "Người", "People", "admin"], ["agencies", "Cơ quan và khóa", "Agencies and keys", "admin"],
  ["requests", "Chờ xác nhận", "To confirm", "admin"], ["providers", "Nhà cung cấp", "Providers", "operate"],
  ["boundaries", "Ranh giới", "Boundaries", "operate"], ["letters", "Thư hỏng", "Dead letters", "operate"],
];

export function ManagePage() {
  const { id } = useStore(route);
  const mine = PARTS.filter(([, , , right]) => may(right));
  const part = mine.some(([name]) => name === id) ? id! : (mine[0]?.[0] ?? "");
  return (
    <>
      <Heading text={t("Quản lý", "Manage")}>
        <nav class="tabs" aria-label={t("Phần", "Part")}>
          {mine.map(([name, vi, en]) => (
            <a key={name} href={`/console/manage/${name}`} aria-current={name === part ? "page" : undefined}>{t(vi, en)}</a>
          ))}
        </nav>
      </Heading>
      {part === "people" && <People />}
      {part === "agencies" && <Agencies />}
      {part === "requests" && <Requests />}
      {part === "providers" && <ProvidersState />}
      {part === "boundaries" && <BoundariesState />}
      {part === "letters" && <Letters />}
      {part === "" && <p class="note warn">{t("Bạn không có quyền quản lý.", "You may not manage anything.")}</p>}
    </>
  );
}

function BoundariesState() {
  const city = useStore(units);
  const now = useStore(session);
  if (city === null) return <p class="loading">{t("Đang tải…", "Loading…")}</p>;
  const kinds = new Map<string, number>();
  for (const unit of city.units) kinds.set(unit.kind, (kinds.get(unit.kind) ?? 0) + 1);
  return (
    <section class="panel">
      <h2>{t("Đơn vị và ranh giới", "Units and boundaries")}</h2>
      {now?.boundaries === "approximate"
        ? <p class="note warn">{t("Ranh giới gần đúng: chỉ dùng để thử. Nhập ranh giới thật bằng lệnh dưới, rồi khởi động lại.", "Approximate boundaries, for trying out only. Import the true ones with the command below and start again.")}</p>
        : <p class="note good">{t("Đã nhập ranh giới thật.", "True boundaries are imported.")}</p>}
      <pre class="mono">loa geofences check ranh-gioi.geojson{"\n"}loa geofences import ranh-gioi.geojson</pre>
      <p>{number(city.units.length)} {t("đơn vị", "units")}: {[...kinds].map(([kind, n]) => `${number(n)} ${kind}`).join(", ")}</p>
      <div class="scroll-y" tabIndex={0} role="region" aria-label={t("Danh sách đơn vị", "List of units")}>
        <table class="plain">
          <thead><tr><th scope="col">{t("Mã", "Code")}</th><th scope="col">{t("Tên", "Name")}</th><th scope="col" class="num">km²</th><th scope="col" class="num">{t("Thiết bị", "Devices")}</th></tr></thead>
          <tbody>
            {city.units.map((unit) => (
              <tr key={unit.code}>
                <td class="mono">{unit.code}</td><th scope="row">{unit.name}</th><td class="num">{number(unit.area_km2)}</td>
                <td class="num">{number(Object.values(unit.devices ?? {}).reduce((a, b) => a + b, 0))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
