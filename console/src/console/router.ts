// Pages by path, under /console.
import { createStore } from "../shared/store";

export interface Route { page: string; id?: string; query: URLSearchParams }

function read(): Route {
  const [, , page, id] = location.pathname.split("/");
  const query = new URLSearchParams(location.search);
  return { page: page || "watch", query, ...(id ? { id } : {}) };
}

export const route = createStore<Route>(read());

/** Goes to a page; the keyboard's place goes with it, to the new page's heading. */
export function go(path: string): void {
  history.pushState(null, "", `/console/${path}`);
  route.set(read());
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
}

window.addEventListener("popstate", () => route.set(read()));

/** Makes a plain link a change of page; modifier keys keep their meaning. */
export function follow(event: MouseEvent): void {
  const link = (event.target as Element).closest("a");
  const href = link?.getAttribute("href");
  if (!href?.startsWith("/console") || link?.target === "_blank") return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(href.replace(/^\/console\/?/, ""));
}
