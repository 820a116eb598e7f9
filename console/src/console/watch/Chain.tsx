// The chain: what was said, in the order in which it was said.
import { dateTime } from "../../shared/format";
import { t } from "../../shared/language";
import type { Row } from "../types";
import { ACTIONS } from "./WatchPage";

export function Chain({ chain, shown }: { chain: Row[]; shown: string }) {
  const sorted = [...chain].sort((a, b) => a.accepted_at.localeCompare(b.accepted_at));
  return (
    <ol class="chain">
      {sorted.map((row) => (
        <li key={row.id} class={row.id === shown ? "is-shown" : ""}>
          <span class="when">{dateTime(row.accepted_at)}</span>
          <a href={`/console/watch/${row.id}`} aria-current={row.id === shown ? "true" : undefined}>
            <b>{t(...(ACTIONS[row.action] ?? [row.action, row.action]))}</b> {row.headline}
          </a>
        </li>
      ))}
    </ol>
  );
}
