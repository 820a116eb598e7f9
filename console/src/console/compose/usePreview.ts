// What the node says of what is being written: asked for a little after the last change, the newest
// answer only.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, post, wordsOf } from "../api";
import type { NewDraft, Preview } from "../types";

/** Long enough not to ask between two letters, short enough to follow a drawing hand. */
const QUIET_MS = 150;

export interface Previewed { preview: Preview | null; busy: boolean; error: string | null }

export function usePreview(draft: NewDraft | null): Previewed {
  const key = draft === null ? "" : JSON.stringify(draft);
  const [state, setState] = useState<Previewed>({ preview: null, busy: false, error: null });
  const newest = useRef(0);
  useEffect(() => {
    const mine = ++newest.current;
    if (key === "") {
      setState({ preview: null, busy: false, error: null });
      return undefined;
    }
    setState((now) => ({ ...now, busy: true }));
    const timer = setTimeout(() => {
      const settle = (next: Previewed) => mine === newest.current && setState(next);
      post<Preview>("/preview", JSON.parse(key))
        .then((preview) => settle({ preview, busy: false, error: null }))
        .catch((error: unknown) => {
          const empty = error instanceof ApiError && error.problem.code === "audience_empty";
          settle({ preview: null, busy: false, error: empty ? null : wordsOf(error) });
        });
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [key]);
  return state;
}
