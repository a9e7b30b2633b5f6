import { defineConfig } from "vitest/config";
import page from "./vite.config";

export default defineConfig({
  resolve: page.resolve ?? {},
  test: { include: ["client/src/**/*.test.{ts,tsx}", "src/**/*.test.{ts,tsx}"], testTimeout: 10_000 },
});
