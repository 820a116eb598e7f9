// Calls to the node: JSON both ways, the session's token on every unsafe method, and every refusal
// as an error that says which field breaks which rule.
import { t } from "../shared/language";

export interface Problem {
  status: number; code: string; title: string; detail?: string;
  errors?: { path: string; rule: string; message: string }[];
}

/** What the node refused, or that it could not be reached. */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }

  /** Words for people: ours for what is common, the node's own for the rest. */
  get words(): string {
    const { code, detail, title, errors } = this.problem;
    const known = KNOWN[code];
    if (known !== undefined) return t(known[0], known[1]);
    const fields = (errors ?? []).map((error) => `${error.path}: ${error.message}`);
    return fields.length > 0 ? fields.join("; ") : (detail ?? title);
  }
}

const KNOWN: Record<string, [string, string]> = {
  unreachable: ["Không kết nối được máy chủ. Thử lại.", "The server cannot be reached. Try again."],
  unauthorized: ["Tên hoặc mật khẩu không đúng, hoặc phiên đã hết.", "Wrong name or password, or the session is over."],
  rate_limited: ["Quá nhiều lần thử. Hãy đợi vài phút.", "Too many attempts. Wait a few minutes."],
  same_person: [
    "Người trình không được tự duyệt. Cần người thứ hai.",
    "Who submitted it cannot approve it. A second person is needed.",
  ],
  conflict: [
    "Người khác vừa sửa bản này. Đã tải lại bản mới, hãy xem lại.",
    "Someone has just changed this. It was loaded again; please look once more.",
  ],
  illegal_transition: [
    "Bản nháp đã được xử lý rồi. Hãy xem trạng thái mới.",
    "This draft was already decided on. Look at its new state.",
  ],
  audience_empty: ["Khu vực không chạm đơn vị nào của thành phố.", "The area touches no unit of the city."],
};

let csrf = "";

/** The token that comes with a session. */
export function useCsrf(token: string): void {
  csrf = token;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-Loa-Csrf"] = csrf;
  let response: Response;
  try {
    response = await fetch(path, {
      method, headers, credentials: "same-origin", body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new ApiError({ status: 0, code: "unreachable", title: "unreachable" });
  }
  const text = await response.text();
  const answer: unknown = text === "" ? undefined : readJson(text);
  if (response.ok) return answer as T;
  const problem = (answer ?? {}) as Partial<Problem>;
  throw new ApiError({
    ...problem, status: response.status, code: problem.code ?? "unknown",
    title: problem.title ?? `HTTP ${response.status}`,
  });
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const BASE = "/v1/console";
export const get = <T>(path: string) => call<T>("GET", BASE + path);
export const post = <T>(path: string, body: unknown = {}) => call<T>("POST", BASE + path, body);
export const put = <T>(path: string, body: unknown) => call<T>("PUT", BASE + path, body);
export const remove = <T>(path: string) => call<T>("DELETE", BASE + path);
/** Paths outside the console. */
export const outside = <T>(path: string) => call<T>("GET", path);

/** Words for whatever was thrown. */
export function wordsOf(error: unknown): string {
  return error instanceof ApiError ? error.words : String(error);
}
