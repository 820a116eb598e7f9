// A value that components follow.
import { useEffect, useState } from "preact/hooks";

export interface Store<T> {
  get(): T;
  set(next: T): void;
  update(change: (now: T) => T): void;
  subscribe(listener: () => void): () => void;
}

export function createStore<T>(first: T): Store<T> {
  let value = first;
  const listeners = new Set<() => void>();
  const store: Store<T> = {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    update: (change) => store.set(change(value)),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

/** The store's value, and a new rendering whenever it changes. */
export function useStore<T>(store: Store<T>): T {
  const [, again] = useState(0);
  useEffect(() => {
    let seen = store.get();
    const look = () => {
      if (!Object.is(seen, store.get())) {
        seen = store.get();
        again((n) => n + 1);
      }
    };
    // Something may have changed between rendering and this effect.
    again((n) => n + 1);
    return store.subscribe(look);
  }, [store]);
  return store.get();
}
