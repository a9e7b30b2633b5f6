import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["client/src/**/*.test.{ts,tsx}", "src/**/*.test.{ts,tsx}"], testTimeout: 10_000 },
});
