import { expect, test } from "vitest";
import { codesIn, fitness, plain, utf8Bytes } from "./text";

test("names are found without accents and in any case", () => {
  expect(plain("Phường Thủ Đức")).toBe("phuong thu duc");
  expect(plain("  Đặc khu   Côn Đảo ")).toBe("dac khu con dao");
  expect(fitness(plain("Phường Thủ Đức"), plain("THU DUC"))).toBe(2);
  expect(fitness(plain("Phường Thủ Đức"), plain("thu dau"))).toBe(0);
});

test("the nearer a name is to what was typed, the earlier it comes", () => {
  const order = ["an phu", "an phu dong", "tan an phu", "binhan phut"].map((n) => fitness(n, "an phu"));
  expect(order).toEqual([4, 3, 2, 1]);
});

test("codes are taken out of whatever was pasted, once each", () => {
  expect(codesIn("26740, 26743;\n26740 Phường 1")).toEqual(["26740", "26743"]);
  expect(codesIn("123456 1234")).toEqual([]);
});

test("bytes are those of UTF-8", () => {
  expect(utf8Bytes("Lũ")).toBe(3);
});
