// Who, where, how many: the last look before something reaches the city.
import { useState } from "preact/hooks";
import { dateTime, number } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { channelName } from "../compose/Audience";
import { LEVEL_PARAMETER } from "../compose/composition";
import { session, unitName } from "../state";
import { CHANNELS, type AlertBody, type NewDraft, type NoticeBody, type Preview } from "../types";
import { Dialog } from "./Dialog";
import { ExerciseFlag } from "./Flags";

const NAMES_MAX = 12;

interface Props {
  draft: NewDraft; preview: Preview; title: string; verb: string; grave: boolean;
  /** Asks for a reason, and why one is needed. */
  reason?: string;
  onYes: (reason: string) => Promise<void>;
  onNo: () => void;
}

export function Confirm({ draft, preview, title, verb, grave, reason, onYes, onNo }: Props) {
  const [words, setWords] = useState("");
  const [looked, setLooked] = useState(!preview.hot);
  const [busy, setBusy] = useState(false);
  const now = session.get();
  const { audience } = preview;
  const inside = audience.units.filter(({ share }) => share > 0);
  const names = inside.slice(0, NAMES_MAX).map(({ code, name }) => name || unitName(code));
  const more = inside.length - names.length;
  const ready = looked && (reason === undefined || words.trim().length > 0) && !busy;
  const send = async () => {
    setBusy(true);
    await onYes(words.trim());
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onNo} grave={grave}>
      <dl class="who-where">
        <dt>{t("Ai gửi", "Who")}</dt>
        <dd>{now?.agency.name} · {now?.person.name}</dd>
        <dt>{t("Gửi gì", "What")}</dt>
        <dd class="row wrap">{draft.exercise && <ExerciseFlag />}<What draft={draft} /></dd>
        <dt>{t("Ở đâu", "Where")}</dt>
        <dd>
          {names.join(", ")}{more > 0 && t(` và ${more} đơn vị nữa`, ` and ${more} more units`)}
          {audience.boundaries === "approximate" && <small class="warn-words"> {t("(ranh giới gần đúng)", "(approximate boundaries)")}</small>}
        </dd>
        <dt>{t("Bao nhiêu", "How many")}</dt>
        <dd>
          <strong class="big-number">{number(audience.devices)}</strong> {t("thiết bị ở", "devices in")} {number(inside.length)} {t("đơn vị", "units")}
          <br />
          <small>{CHANNELS.map((channel) => `${channelName(channel)}: ${number(audience.channels[channel] ?? 0)}`).join(" · ")}</small>
        </dd>
      </dl>
      {reason !== undefined && (
        <label class="field">
          <span>{reason}</span>
          <textarea rows={2} value={words} onInput={(event) => setWords(event.currentTarget.value)} name="reason" />
        </label>
      )}
      {preview.hot && (
        <label class="check">
          <input type="checkbox" checked={looked} onChange={() => setLooked(!looked)} name="looked" />
          {t("Tôi đã kiểm tra nội dung, khu vực và số người nhận.", "I have checked the words, the area and how many it reaches.")}
        </label>
      )}
      <div class="row end">
        <button type="button" onClick={onNo}>{t("Quay lại", "Go back")}</button>
        <button type="button" class={grave ? "danger" : "primary"} disabled={!ready} onClick={() => void send()}>{verb}</button>
      </div>
    </Dialog>
  );
}

function What({ draft }: { draft: NewDraft }) {
  if (draft.kind === "notice") {
    const body = draft.body as NoticeBody;
    return <span>{body.texts.vi?.title}</span>;
  }
  const info = (draft.body as AlertBody).infos?.[0];
  if (info === undefined) return <span>{t("Thu hồi cảnh báo", "Withdrawal of the alert")}</span>;
  const level = Number(info.parameters?.find(({ name }) => name === LEVEL_PARAMETER)?.value);
  return (
    <>
      <LevelChip level={level} severity={info.severity} /> <b>{info.headline}</b>
      {info.expires && <small>{t("đến", "until")} {dateTime(info.expires)}</small>}
    </>
  );
}
