/** Fields made from JSON Schema, as the backend describes flows. */

import { useId, useState } from "react";
import { parse, stringify } from "yaml";
import { useTexts } from "../i18n";
import { schemaName, schemaText } from "./schema_texts";

export interface Schema {
  $ref?: string;
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: string[];
  format?: string;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
}

export type Definitions = Record<string, Schema>;
type Values = Record<string, unknown>;

/** Follows references, and takes `null` out of the choices. */
function plain(schema: Schema, definitions: Definitions): Schema & { nullable?: boolean } {
  if (schema.$ref) {
    const { $ref, ...own } = schema;
    return { ...plain(definitions[$ref.slice("#/$defs/".length)] ?? {}, definitions), ...own };
  }
  const choices = schema.anyOf?.filter((choice) => choice.type !== "null");
  if (choices?.length === 1 && choices[0]) {
    const { anyOf, ...own } = schema;
    return { ...plain(choices[0], definitions), ...own, nullable: true };
  }
  return schema;
}

interface FieldsProps {
  schema: Schema;
  definitions: Definitions;
  value: Values;
  onChange(value: Values): void;
  skip?: readonly string[];
  only?: readonly string[];
}

/** The properties of an object. A field that is emptied leaves the object. */
export function SchemaFields({ schema, definitions, value, onChange, skip = [], only }: FieldsProps) {
  const { properties = {}, required = [] } = plain(schema, definitions);
  return (
    <div className="fields">
      {Object.entries(properties)
        .filter(([name]) => !skip.includes(name) && (!only || only.includes(name)))
        .map(([name, property]) => (
          <Field
            key={name}
            name={name}
            schema={plain(property, definitions)}
            definitions={definitions}
            required={required.includes(name)}
            value={value[name]}
            onChange={(next) => {
              const { [name]: _, ...others } = value;
              onChange(next === undefined ? others : { ...value, [name]: next });
            }}
          />
        ))}
    </div>
  );
}

interface FieldProps {
  name: string;
  schema: Schema & { nullable?: boolean };
  definitions: Definitions;
  required: boolean;
  value: unknown;
  onChange(value: unknown): void;
}

function Field({ name, schema, definitions, required, value, onChange }: FieldProps) {
  const id = useId();
  const { language } = useTexts();
  const label = schemaName(name, language);
  const hint = schema.description && (
    <small id={`${id}-hint`}>{schemaText(schema.description, language)}</small>
  );
  const described = schema.description ? { "aria-describedby": `${id}-hint` } : {};
  if (schema.type === "boolean" && !schema.nullable) {
    return (
      <div className="field check">
        <label>
          <input
            type="checkbox"
            {...described}
            checked={Boolean(value ?? schema.default)}
            onChange={(event) => onChange(event.target.checked)}
          />{" "}
          {label}
        </label>
        {hint}
      </div>
    );
  }
  if (schema.type === "object" && schema.properties) {
    return (
      <fieldset>
        <legend>{label}</legend>
        {hint}
        <SchemaFields
          schema={schema}
          definitions={definitions}
          value={(value as Values | undefined) ?? {}}
          onChange={(next) => onChange(Object.keys(next).length > 0 ? next : undefined)}
        />
      </fieldset>
    );
  }
  const item = schema.items && plain(schema.items, definitions);
  if (schema.type === "array" && item?.properties) {
    return (
      <ItemsField
        label={label}
        schema={item}
        definitions={definitions}
        items={Array.isArray(value) ? (value as Values[]) : []}
        onChange={onChange}
      />
    );
  }
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {required && <span aria-hidden="true"> *</span>}
      </label>
      <Input id={id} schema={schema} required={required} value={value} onChange={onChange} described={described} />
      {hint}
    </div>
  );
}

interface InputProps extends Pick<FieldProps, "schema" | "required" | "value" | "onChange"> {
  id: string;
  described: object;
}

function Input({ id, schema, required, value, onChange, described }: InputProps) {
  const { t } = useTexts();
  if (schema.type === "boolean" || schema.enum) {
    const options = schema.enum ?? ["true", "false"];
    const empty = schema.default === undefined || schema.default === null;
    return (
      <select
        id={id}
        {...described}
        value={String(value ?? schema.default ?? "")}
        onChange={({ target }) =>
          onChange(!target.value ? undefined : schema.enum ? target.value : target.value === "true")
        }
      >
        {empty && <option value="">{t("unset")}</option>}
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    );
  }
  if (schema.type === "number" || schema.type === "integer") {
    return (
      <input
        id={id}
        {...described}
        type="number"
        min={schema.minimum}
        max={schema.maximum}
        step={schema.type === "integer" ? 1 : "any"}
        value={typeof value === "number" ? value : ""}
        placeholder={String(schema.default ?? "")}
        onChange={({ target }) => onChange(target.value === "" ? undefined : target.valueAsNumber)}
      />
    );
  }
  if (schema.type === "string") {
    const text = typeof value === "string" ? value : "";
    const change = (next: string) => onChange(next === "" && !required ? undefined : next);
    const shared = { id, ...described, value: text, placeholder: String(schema.default ?? "") };
    return schema.format ? (
      <textarea {...shared} rows={Math.min(12, Math.max(2, Math.ceil(text.length / 38)))} spellCheck={schema.format === "liquid"} onChange={(event) => change(event.target.value)} />
    ) : (
      <input type="text" {...shared} onChange={(event) => change(event.target.value)} />
    );
  }
  return <YamlInput id={id} value={value} onChange={onChange} described={described} />;
}

/** Anything that has no fields of its own, as YAML. */
function YamlInput({ id, value, onChange, described }: Omit<InputProps, "schema" | "required">) {
  const written = value === undefined || value === null ? "" : stringify(value).trimEnd();
  const [text, setText] = useState<string>();
  const [error, setError] = useState<string>();
  return (
    <>
      <textarea
        id={id}
        {...described}
        className="code"
        spellCheck={false}
        aria-invalid={error !== undefined}
        rows={Math.min(14, Math.max(2, (text ?? written).split("\n").length))}
        value={text ?? written}
        onChange={({ target }) => {
          setText(target.value);
          try {
            onChange((parse(target.value) as unknown) ?? undefined);
            setError(undefined);
          } catch (problem) {
            setError(problem instanceof Error ? problem.message.split("\n")[0] : String(problem));
          }
        }}
        onBlur={() => {
          if (!error) setText(undefined);
        }}
      />
      {error && (
        <small className="danger" role="alert">
          {error}
        </small>
      )}
    </>
  );
}

interface ItemsProps {
  label: string;
  schema: Schema;
  definitions: Definitions;
  items: Values[];
  onChange(items: Values[]): void;
}

function ItemsField({ label, schema, definitions, items, onChange }: ItemsProps) {
  const { t } = useTexts();
  return (
    <fieldset>
      <legend>{label}</legend>
      {items.map((item, index) => (
        // biome-ignore lint: items have no names of their own
        <div className="item" key={index}>
          <SchemaFields
            schema={schema}
            definitions={definitions}
            value={item}
            onChange={(next) => onChange(items.map((other, at) => (at === index ? next : other)))}
          />
          <button type="button" className="small danger" onClick={() => onChange(items.filter((_, at) => at !== index))}>
            {t("delete")}
          </button>
        </div>
      ))}
      <button type="button" className="small" onClick={() => onChange([...items, {}])}>
        {t("add")}
      </button>
    </fieldset>
  );
}
