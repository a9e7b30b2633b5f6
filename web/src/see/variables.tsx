/** A session's variables with their values. */

import { useTexts } from "../i18n";

export function Variables({ values }: { values: Record<string, unknown> }) {
  const { t } = useTexts();
  return (
    <section aria-label={t("see_variables")}>
      <h2>{t("see_variables")}</h2>
      <dl className="facts">
        {Object.entries(values).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
