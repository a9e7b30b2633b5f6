/** What is wrong with a flow, in German; the backend's own words are English.
 *
 * Names in braces are the problem's `values`.
 */

export interface Problem {
  /** As `nodes[2].data.url`; empty for the document as a whole. */
  path: string;
  message: string;
  /** Stays the same for the same kind of problem; missing from older backends. */
  code?: string;
  /** What the message names. */
  values?: Record<string, string>;
}

export const GERMAN_PROBLEMS: Record<string, string> = {
  missing: "fehlt",
  unknown_field: "unbekanntes Feld",
  not_text: "sollte ein Text sein",
  not_a_number: "sollte eine Zahl sein",
  not_whole: "sollte eine ganze Zahl sein",
  not_true_or_false: "sollte wahr oder falsch sein",
  not_a_list: "sollte eine Liste sein",
  not_an_object: "sollte ein Objekt sein, also Namen mit Werten",
  not_one_of: "diesen Wert gibt es hier nicht",
  not_of_form: "hat nicht die verlangte Form {pattern}",
  too_small: "zu klein; die Grenze ist {limit}",
  too_large: "zu groß; die Grenze ist {limit}",
  too_short: "zu kurz oder leer; verlangt: {limit}",
  too_long: "zu lang; höchstens {limit}",
  default_of_other_type: "die Vorgabe ist nicht von der Art „{type}“",
  value_invalid: "dieser Wert geht hier nicht",
  schema_invalid: "kein JSON Schema: {why}",
  schema_with_reference: "$ref geht hier nicht: Schreibe das Schema aus",
  schema_of_no_object: "erwartet wird das Schema eines Objekts, mit `properties`",
  schema_name_invalid: "„{name}“ kann keine Variable heißen",
  pointer_invalid: "{name}: „{pointer}“ ist kein JSON Pointer wie /items/0/name",
  digits_missing: "es fehlen die Ziffern, die gesendet werden sollen",
  not_one_source: "gib genau eines an: `template`, `expression` oder `value`",
  no_flow: "ein Ablauf hat `id`, `nodes` und `edges`",
  too_many: "zu viele; höchstens {limit}",
  unknown_node_type: "die Knotenart „{name}“ gibt es nicht",
  unknown_node: "den Knoten „{name}“ gibt es nicht",
  unknown_provider: "den Anbieter „{name}“ für Sprachmodelle gibt es nicht",
  unknown_event: "wird nie genommen: Das Ereignis „{name}“ gibt es dort nicht",
  id_taken: "die Kennung „{name}“ gibt es schon",
  condition_needless: "eine Kante der Art „always“ hat keine Bedingung",
  condition_missing: "die Bedingung der Art „{kind}“ fehlt",
  template_invalid: "die Vorlage ist nicht zu lesen: {why}",
  expression_invalid: "der Ausdruck ist nicht zu lesen: {why}",
  variable_name_invalid: "der Name einer Variable hat nur Buchstaben ohne Umlaute, Ziffern und `_`, vorn keine Ziffer",
  variable_name_taken: "„{name}“ wird bei jedem Wortwechsel gesetzt; nimm einen anderen Namen",
  variable_never_set: "liest die Variable „{name}“, die nirgends gesetzt wird",
  start_missing: "ein Knoten der Art „start“ (Anfang) fehlt",
  start_twice: "es gibt mehr als einen Knoten der Art „start“ (Anfang)",
  after_the_end: "auf einen Knoten der Art „end“ (Ende) folgt nichts mehr",
  leaves_conversation:
    "wird nie genommen: Ein Gespräch dauert, bis eine Bedingung zutrifft. Gib der Kante eine; der Ausdruck `true` führt mit den nächsten Worten weiter",
  else_twice: "wird nie genommen: Der Knoten hat schon eine Kante der Art „always“",
  else_missing:
    "das „sonst“ fehlt: Füge eine Kante der Art „always“ hinzu, für den Fall, dass keine andere Bedingung zutrifft",
  leads_nowhere: "führt nirgendwohin: Füge eine Kante hinzu",
  unreachable: "vom Anfang führt kein Weg zu „{name}“",
};

/** What the server found in a flow that it refused. */
export function problemsIn(error: unknown): Problem[] {
  const { problems } = ((error as { body?: unknown } | null)?.body ?? {}) as { problems?: unknown };
  return Array.isArray(problems) ? (problems as Problem[]) : [];
}

/** The server's words, or their meaning in German where the page knows the code. */
export function germanProblem({ code, message, values = {} }: Problem): string {
  const text = code && Object.hasOwn(GERMAN_PROBLEMS, code) ? GERMAN_PROBLEMS[code] : undefined;
  if (text === undefined) return message;
  const said = text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "…");
  if (values.meant) return `${said}. Meintest du „${values.meant}“?`;
  return values.known ? `${said}; es gibt: ${values.known}` : said;
}
