// People at their desks over HTTP, and a desk with something of everything on it.
import { alert, keyOf, publish } from "./node.mjs";

/** Somebody who is logged in, without a browser. */
export class Desk {
  constructor(node, session, cookie) {
    Object.assign(this, { node, session, cookie });
  }

  static async login(node, person, password) {
    const response = await fetch(`${node.url}/v1/console/login`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ person, password }),
    });
    if (!response.ok) throw new Error(await response.text());
    const cookie = response.headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
    return new Desk(node, await response.json(), cookie);
  }

  async ask(method, path, body) {
    const headers = { Cookie: this.cookie, "X-Loa-Csrf": this.session.csrf, "Content-Type": "application/json" };
    const response = await fetch(`${this.node.url}/v1/console${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** Drafts; with `step` goes on to it. */
  async draft(body, step, more = {}) {
    const draft = await this.ask("POST", "/drafts", { kind: "alert", body, ...more });
    return step ? this.step(draft, step) : draft;
  }

  step({ id, version }, step, reason) {
    return this.ask("POST", `/drafts/${id}/${step}`, { version, ...(reason ? { reason } : {}) });
  }
}

/** What a draft may leave to the node. */
export function draftBody(units, words, severity) {
  const { infos } = alert(units, words, severity);
  for (const info of infos) info.areas[0].description = info.language === "vi-VN" ? "Ven sông Sài Gòn" : "By the Saigon river";
  return { infos };
}

/** A device of a citizen, without a browser. */
export async function citizen(node, unit, more = {}) {
  const response = await fetch(`${node.url}/v1/devices`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ places: [{ unit }], ...more }),
  });
  const { id, secret } = await response.json();
  const say = async (path, body) => {
    const answer = await fetch(node.url + path, {
      method: "POST", headers: { "Content-Type": "application/json", Authorization: `Loa-Device ${id}:${secret}` }, body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
  };
  const inbox = async () => (await fetch(`${node.url}/v1/inbox`, { headers: { Authorization: `Loa-Device ${id}:${secret}` } })).json();
  return { id, say, inbox };
}

const FLOOD = {
  event: "Triều cường", headline: "Triều cường vượt báo động III, nhiều tuyến đường ngập sâu",
  description: "Đỉnh triều 1,72 m lúc 17 giờ 30. Đường trũng, hẻm ven sông và tầng hầm ngập trên nửa mét.",
  instruction: "Không đi vào đường ngập. Đưa xe ra khỏi tầng hầm, ngắt cầu dao tầng trệt. Gọi 114 khi có người mắc kẹt.",
};
const STORM = {
  event: "Bão", headline: "Bão số 9 đổ bộ Cần Giờ: vào nơi trú ẩn kiên cố ngay",
  description: "Gió cấp 11, giật cấp 13. Sóng cao bốn đến sáu mét.", instruction: "Ở trong nhà kiên cố, tránh xa cửa kính. Nghe theo lực lượng tại chỗ.",
};
const LOW = ["26740", "26743", "26734", "26737", "26758", "26761", "26767", "26788", "26794", "26815", "27199", "27211", "27226", "27259"];

/** Alerts in every state, drafts at every step, answers, a survey, a request that waits. */
export async function fill(node, { agency, writer, approver }) {
  const { units } = await (await fetch(`${node.url}/v1/units`)).json();
  const low = LOW.filter((code) => units.some((unit) => unit.code === code));
  const two = async (body, more) => writer.draft(body, "submit", more).then((draft) => approver.step(draft, "approve"));
  await two(draftBody(low.slice(0, 2), { event: "Cháy", headline: "Cháy kho hàng: rời khỏi khu vực ngay", instruction: "Đi ngược chiều gió." }))
    .then(({ publication }) => approver.ask("POST", `/publications/${publication}/recall`, { reason: "Đám cháy đã được dập tắt" }));
  await writer.draft(draftBody(low.slice(3, 6), { event: "Cúp nước", headline: "Tạm ngừng cấp nước để sửa chữa đường ống" }, "Minor"), "publish");
  await writer.draft(draftBody(low, { headline: "Diễn tập sơ tán ven sông" }, "Moderate"), "publish", { exercise: true });
  const survey = await writer.ask("POST", "/drafts", {
    kind: "notice",
    body: {
      kind: "survey", expires: new Date(Date.now() + 86_400_000).toISOString(), target: { units: low },
      texts: { vi: { title: "Sau trận ngập hôm qua", body: "Hai phút để lần sau cảnh báo tốt hơn." }, en: { title: "After yesterday's flood", body: "Two minutes." } },
      questions: [
        { id: "q1", kind: "single", required: true, texts: { vi: "Bạn nhận tin trước khi nước vào nhà không?", en: "Did you hear in time?" }, options: [{ id: "yes", texts: { vi: "Có", en: "Yes" } }, { id: "no", texts: { vi: "Không", en: "No" } }] },
        { id: "q2", kind: "scale", min: 1, max: 5, texts: { vi: "Hướng dẫn có dễ hiểu không?", en: "Was it clear?" } },
      ],
    },
  }).then((draft) => writer.step(draft, "publish"));
  const { publication } = await two(draftBody(low, FLOOD));
  const citizens = await Promise.all(Array.from({ length: 24 }, (_, i) => citizen(node, low[i % low.length])));
  for (const [i, one] of citizens.entries()) {
    const help = i % 6 === 0;
    await one.say("/v1/answers", { publication, answer: help ? "help" : "safe", ...(help ? { note: ["Nước ngang ngực, có hai người già", "Cần thuyền, ba trẻ nhỏ", "Mất điện, cần thuốc", "Kẹt trên gác"][i / 6] } : {}) });
    await one.say("/v1/answers", { publication: survey.publication, survey: { q1: i % 4 === 0 ? "no" : "yes", q2: 1 + ((i * 7) % 5) } });
  }
  const back = await writer.draft(draftBody(low.slice(0, 4), { headline: "Mưa lớn chiều tối, có thể ngập" }), "submit");
  await approver.step(back, "return", "Ghi rõ giờ và các tuyến đường");
  await writer.draft(draftBody(low.slice(0, 4), STORM, "Extreme"), "submit");
  await writer.draft(draftBody(low.slice(2, 4), { headline: "Sạt lở bờ sông: cấm đi lại" }));
  await approver.ask("POST", "/drills/link-test");
  node.run(["agencies", "put", "capnuoc", "--name", "Tổng Công ty Cấp nước Sài Gòn"]);
  node.run(["people", "put", "hoa", "--agency", agency, "--name", "Lê Thị Hoa", "--rights", "admin", "--password-file", "-"], "mat-khau-thu-nghiem\n");
  await publish(node, keyOf(node, "capnuoc"), alert(low.slice(5, 8), { event: "Cúp nước", headline: "Nước yếu từ 22 giờ đến 4 giờ sáng" }, "Minor"));
  await approver.ask("POST", "/agencies/capnuoc/keys", { name: "he-thong-scada" });
  return { flood: publication, survey: survey.publication, units: low };
}
