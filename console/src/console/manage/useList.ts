// A list of the node's, read when a page opens and after each change.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { attempt } from "../state";

export function useList<T>(path: string): [T | null, () => void] {
  const [answer, setAnswer] = useState<T | null>(null);
  const load = () => void attempt(async () => setAnswer(await get<T>(path)));
  useEffect(load, [path]);
  return [answer, load];
}
