// From targeted to acknowledged: bars for a glance, a table for every figure. What a provider says is
// "accepted" and is never shown as received.
import { milliseconds, number, percent } from "../../shared/format";
import { t } from "../../shared/language";
import { channelName } from "../compose/Audience";
import { CHANNELS, type Counts, type Funnel } from "../types";

const STAGES: readonly [keyof Counts & string, string, string, string][] = [
  ["targeted", "Cần đến", "Targeted", "none"], ["sent", "Đã gửi", "Sent", "sent"],
  ["accepted", "Nhà cung cấp nhận", "Accepted by provider", "accepted"],
  ["received", "Điện thoại đã nhận", "Received by app", "received"],
  ["shown", "Đã hiện", "Shown", "shown"], ["acknowledged", "Đã xác nhận", "Acknowledged", "shown"],
];

const REASONS: Record<string, [string, string]> = {
  provider_unavailable: ["nhà cung cấp không trả lời", "provider unavailable"],
  quota: ["vượt hạn mức", "over quota"], timeout: ["hết thời gian chờ", "timed out"],
};

/** Those it is for: without those who muted it, moved away or get it for another place of theirs. */
export function due(counts: Counts): number {
  return Math.max(0, counts.targeted - counts.skipped);
}

export function failedTotal(counts: Counts): number {
  return Object.values(counts.failed).reduce((sum, n) => sum + n, 0);
}

export function FunnelBars({ counts, open }: { counts: Counts; open: number }) {
  const ends: [string, number][] = [
    [t("Thất bại", "Failed"), failedTotal(counts)], [t("Quá hạn", "Expired"), counts.expired],
    [t("Đã thay bản mới", "Superseded"), counts.superseded], [t("Địa chỉ hỏng", "Dead address"), counts.dead],
    [t("Bỏ qua (tắt tin, trùng nơi)", "Skipped (muted, another place)"), counts.skipped], [t("Đang chờ, sẽ thử lại", "Waiting, tried again"), counts.waiting], [t("Đã gửi lại", "Sent again"), counts.repeated],
  ];
  return (
    <>
      <ol class="funnel">
        {STAGES.map(([key, vi, en, colour]) => {
          const value = counts[key] as number;
          return (
            <li key={key} data-stage={key}>
              <span class="funnel-name">{t(vi, en)}</span>
              <span class="funnel-value" data-test={`total-${key}`} data-value={value}>{number(value)}</span>
              <span class="bar"><span class={`fill ${colour}`} style={{ width: `${due(counts) === 0 ? 0 : Math.min(100, (100 * value) / due(counts))}%` }} /></span>
              <span class="funnel-share">{key === "targeted" ? "" : percent(value, due(counts))}</span>
            </li>
          );
        })}
      </ol>
      <ul class="ends">
        {ends.filter(([, value]) => value > 0).map(([name, value]) => <li key={name}>{name}: <b>{number(value)}</b></li>)}
        {open > 0 && <li>{t("Lượt gửi còn mở", "Open dispatches")}: <b>{number(open)}</b></li>}
        {Object.entries(counts.failed).map(([reason, value]) => (
          <li key={reason} class="bad-words">{REASONS[reason] ? t(...REASONS[reason]) : reason}: <b>{number(value)}</b></li>
        ))}
      </ul>
    </>
  );
}

export function FunnelTable({ funnel, forecast, over }: { funnel: Funnel; forecast?: Funnel["forecast"]; over: boolean }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Bảng theo kênh", "Table by channel")}>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">{t("Kênh", "Channel")}</th>
            {STAGES.map(([key, vi, en]) => <th scope="col" class="num" key={key}>{t(vi, en)}</th>)}
            <th scope="col" class="num">{t("Thất bại", "Failed")}</th>
            <th scope="col" class="num">{t("Còn chờ", "Waiting")}</th>
            <th scope="col" class="num">{over ? t("Xong sau", "Done after") : t("Dự báo xong", "Expected end")}</th>
          </tr>
        </thead>
        <tbody>
          {CHANNELS.filter((channel) => funnel.channels[channel]).map((channel) => {
            const counts = funnel.channels[channel]!;
            const { expected, fact } = forecast?.[channel] ?? {};
            const end = counts.waiting === 0 && funnel.open_dispatches === 0 ? (fact?.last_ms ?? undefined) : expected?.last_ms;
            return (
              <tr key={channel}>
                <th scope="row">{channelName(channel)}</th>
                {STAGES.map(([key]) => <td class="num" key={key}>{number(counts[key] as number)}</td>)}
                <td class={failedTotal(counts) > 0 ? "num bad-words" : "num"}>{number(failedTotal(counts))}</td>
                <td class="num">{number(counts.waiting)}</td>
                <td class="num">{end === undefined || end === null ? "–" : milliseconds(end)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
