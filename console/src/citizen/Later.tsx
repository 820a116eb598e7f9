// What weighs more than the words beside it comes when it is opened.
import type { ComponentType } from "preact";
import { useState } from "preact/hooks";
import { t } from "../shared/language";

interface Props<P> {
  kind: string; summary: string; open?: boolean; load: () => Promise<{ default: ComponentType<P> }>; props: P;
}

export function Later<P extends object>({ kind, summary, open, load, props }: Props<P>) {
  const [Part, setPart] = useState<ComponentType<P> | null>(null);
  const [failed, setFailed] = useState(false);
  const toggle = (event: { currentTarget: HTMLDetailsElement }) => {
    if (!event.currentTarget.open || Part) return;
    setFailed(false);
    load().then((loaded) => setPart(() => loaded.default)).catch(() => setFailed(true));
  };
  return (
    <details class={`later ${kind}`} open={open} onToggle={toggle}>
      <summary>{summary}</summary>
      {Part && <Part {...props} />}
      {failed && <p class="offline">{t("Không tải được. Kiểm tra kết nối.", "Cannot be loaded. Check the connection.")}</p>}
    </details>
  );
}
