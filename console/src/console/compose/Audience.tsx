// How many, over which channels, and when the last of them is reached.
import { milliseconds, number } from "../../shared/format";
import { t } from "../../shared/language";
import { CHANNELS, type Channel, type Preview } from "../types";
import { WHOLE_SHARE } from "./AreaEditor";

export function channelName(channel: Channel | string): string {
  const names: Record<string, string> = {
    websocket: t("Trực tuyến", "Online"), apns: "iPhone (APNs)", fcm: "Android (FCM)",
    webpush: t("Trình duyệt", "Browsers"),
  };
  return names[channel] ?? channel;
}

const LIMITS: Record<string, [string, string]> = {
  quota: ["hạn mức nhà cung cấp", "provider's quota"], round_trip: ["độ trễ mạng", "round trip"],
  processors: ["máy chủ", "this server"],
};

export function Audience({ preview, busy, error }: { preview: Preview | null; busy: boolean; error: string | null }) {
  if (error !== null) return <p class="note bad" role="alert">{error}</p>;
  if (preview === null) {
    return <p class="hint">{t("Chọn khu vực để biết bao nhiêu thiết bị sẽ nhận.", "Choose an area to see how many devices it reaches.")}</p>;
  }
  const { audience, forecast } = preview;
  // A unit with no share of its own only has people in a coarse cell that reaches into the area.
  const inside = audience.units.filter(({ share }) => share > 0);
  const part = inside.filter(({ share }) => share < WHOLE_SHARE).length;
  const last = Math.max(0, ...Object.values(forecast).map(({ last_ms }) => last_ms));
  return (
    <div class="audience" aria-busy={busy} aria-live="polite">
      <dl class="figures">
        <div><dt>{t("Thiết bị", "Devices")}</dt><dd data-test="devices">{number(audience.devices)}</dd></div>
        <div>
          <dt>{t("Đơn vị", "Units")}</dt>
          <dd data-test="units">{number(inside.length)}</dd>
          {part > 0 && <dd class="sub">{t(`${part} một phần`, `${part} in part`)}</dd>}
        </div>
        <div><dt>{t("Người cuối nhận sau", "Last one after")}</dt><dd>{milliseconds(last)}</dd></div>
      </dl>
      <table class="plain">
        <caption class="sr-only">{t("Thiết bị và dự báo theo kênh", "Devices and forecast by channel")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("Kênh", "Channel")}</th><th scope="col" class="num">{t("Thiết bị", "Devices")}</th>
            <th scope="col" class="num">50 %</th><th scope="col" class="num">99 %</th>
            <th scope="col" class="roomy">{t("Giới hạn", "Limit")}</th>
          </tr>
        </thead>
        <tbody>
          {CHANNELS.map((channel) => {
            const expected = forecast[channel];
            const limit = expected && LIMITS[expected.limited_by];
            return (
              <tr key={channel}>
                <th scope="row">{channelName(channel)}</th>
                <td class="num">{number(audience.channels[channel] ?? 0)}</td>
                <td class="num">{expected ? milliseconds(expected.p50_ms) : "–"}</td>
                <td class="num">{expected ? milliseconds(expected.p99_ms) : "–"}</td>
                <td class="roomy">{limit ? t(limit[0], limit[1]) : "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {audience.coarse > 0 && (
        <p class="hint">
          {t(`${number(audience.coarse)} thiết bị chỉ biết ở đơn vị nào, trong khi khu vực chỉ phủ một phần: họ cũng nhận, kèm lời nhắc.`, `${number(audience.coarse)} devices are known only by unit while the area covers a part: they get it too, with a remark.`)}
        </p>
      )}
    </div>
  );
}
