import { expect, test } from "vitest";
import { capTime, clock, duration, percent } from "./format";

test("a share is never rounded to all or nothing", () => {
  expect(percent(99_999, 100_000)).toBe("99,9 %");
  expect(percent(1, 100_000)).toBe("0,1 %");
  expect(percent(100, 100)).toBe("100 %");
  expect(percent(0, 100)).toBe("0 %");
  expect(percent(0, 0)).toBe("–");
});

test("durations say the two largest parts", () => {
  expect(duration(7)).toBe("7 giây");
  expect(duration(60)).toBe("1 phút");
  expect(duration(3 * 3600 + 5 * 60 + 9)).toBe("3 giờ 5 phút");
  expect(duration(0)).toBe("0 giây");
  expect(clock(3729)).toBe("1:02:09");
  expect(clock(67)).toBe("1:07");
});

test("CAP times have the city's offset and no fractions", () => {
  expect(capTime(new Date("2026-11-22T00:00:00.123Z"))).toBe("2026-11-22T07:00:00+07:00");
});
