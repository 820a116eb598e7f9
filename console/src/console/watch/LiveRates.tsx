// The rates while it goes out: the node gives them when it is asked; between, they follow from two
// funnels. A component of its own, so that a new point draws the chart and nothing else.
import { useEffect, useRef, useState } from "preact/hooks";
import { useStore } from "../../shared/store";
import { funnels } from "../state";
import type { Counts, FunnelEvent, Rate } from "../types";
import { Rates } from "./Rates";

const RATES_MAX = 1_200;
/** Two funnels closer or farther apart than this say nothing of a rate. */
const GAP_MS = { least: 200, most: 5_000 };

export function LiveRates({ id, known }: { id: string; known: Rate[] }) {
  const live = useStore(funnels).get(id);
  const [rates, setRates] = useState<Rate[]>(known);
  const last = useRef<{ at: number; counts: Counts } | null>(null);
  useEffect(() => setRates(known), [known]);
  useEffect(() => {
    if (live === undefined) return;
    const now = Date.now();
    const next = rateBetween(last.current, live, now);
    last.current = { at: now, counts: live.total };
    if (next !== null) setRates((all) => [...all.slice(-RATES_MAX), next]);
  }, [live]);
  return <Rates rates={rates} />;
}

function rateBetween(last: { at: number; counts: Counts } | null, live: FunnelEvent, now: number): Rate | null {
  const gap = last === null ? Infinity : now - last.at;
  if (last === null || gap < GAP_MS.least || gap > GAP_MS.most) return null;
  const rate = (key: "sent" | "accepted" | "received" | "shown") =>
    Math.max(0, ((live.total[key] - last.counts[key]) * 1000) / gap);
  return { at: new Date(now).toISOString(), sent: rate("sent"), accepted: rate("accepted"), received: rate("received"), shown: rate("shown") };
}
