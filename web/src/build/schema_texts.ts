/** German for what the backend's schema of flows says in English: names of nodes and fields, and hints. */

import type { Language } from "../i18n";

/** A node's type or a field's name, as people read it. */
export const schemaName = (name: string, language: Language): string =>
  (language === "de" ? GERMAN_NAMES : ENGLISH_NAMES)[name] ?? name.replaceAll("_", " ");

/** A description of the schema; one that is not known here stays as it is. */
export const schemaText = (text: string, language: Language): string =>
  (language === "de" ? GERMAN_TEXTS[text] : undefined) ?? text;

/** Abbreviations, which the schema writes small. */
const ENGLISH_NAMES: Record<string, string> = { llm: "LLM", http: "HTTP call", url: "URL" };

export const GERMAN_NAMES: Record<string, string> = {
  start: "Anfang",
  conversation: "Gespräch",
  llm: "Sprachmodell",
  say: "Sagen",
  extract: "Herauslesen",
  logic_split: "Verzweigung",
  set: "Setzen",
  http: "HTTP-Aufruf",
  knowledge: "Wissen",
  transfer: "Weiterverbinden",
  press_digit: "Tasten",
  end: "Ende",
  action: "Aktion",
  after_ms: "nach ms",
  allow_interruptions: "darf unterbrochen werden",
  assignments: "Zuweisungen",
  body: "Inhalt",
  condition: "Bedingung",
  condition_type: "Art der Bedingung",
  data: "Daten",
  default: "Vorgabe",
  description: "Beschreibung",
  digits: "Ziffern",
  documents: "Dokumente",
  edges: "Kanten",
  expression: "Ausdruck",
  filler: "Überbrückung",
  global: "von überall erreichbar",
  greeting: "Begrüßung",
  headers: "Kopfzeilen",
  id: "Kennung",
  info: "Angaben",
  instructions: "Anweisungen",
  label: "Aufschrift",
  language: "Sprache",
  limit: "Höchstzahl",
  max_bytes: "Bytes höchstens",
  max_digits: "Ziffern höchstens",
  max_tokens: "Tokens höchstens",
  method: "Methode",
  name: "Name",
  nodes: "Knoten",
  options: "Optionen",
  position: "Ort",
  priority: "Vorrang",
  pure: "ändert nichts",
  query: "Anfrage",
  required: "verlangt",
  response: "Antwort",
  retries: "Wiederholungen",
  schema: "Schema",
  source: "von",
  sourceHandle: "Griff am Anfang",
  status_variable: "Variable für den Status",
  target: "nach",
  targetHandle: "Griff am Ende",
  temperature: "Temperatur",
  template: "Vorlage",
  terminator: "Schlusstaste",
  text: "Text",
  timeout_s: "Frist in s",
  title: "Titel",
  to: "Ziel",
  transition_speech: "Worte beim Übergang",
  type: "Art",
  url: "Adresse",
  usual_ms: "gewöhnliche ms",
  value: "Wert",
  variable: "Variable",
  variables: "Variablen",
  version: "Version",
  voice: "Stimme",
  wait_for_input: "auf Antwort warten",
  x: "x",
  y: "y",
};

export const GERMAN_TEXTS: Record<string, string> = {
  "A SIP URI, telephone number, room or agent name.": "Eine SIP-Adresse, Telefonnummer, ein Raum oder der Name eines Agenten.",
  "A provider's name, or `provider/model`.": "Name eines Anbieters, oder `anbieter/modell`.",
  "A provider's name, or `provider/model`; None: the flow's default.":
    "Name eines Anbieters, oder `anbieter/modell`; leer: die Vorgabe des Ablaufs.",
  "A text to search in.": "Ein Text, in dem gesucht wird.",
  "A variable that whoever opens a session may or must give.":
    "Eine Variable, die angeben darf oder muss, wer eine Sitzung öffnet.",
  "A way from one node to another.": "Ein Weg von einem Knoten zu einem anderen.",
  "A whole flow.": "Ein ganzer Ablauf.",
  "Also sets this variable: a list of `{title, text}`.": "Setzt auch diese Variable: eine Liste von `{title, text}`.",
  "At most so many passages.": "Höchstens so viele Textstellen.",
  "BCP 47.": "Nach BCP 47.",
  "CEL for `expression`, a template in plain words for `llm`, an event's name for `event`.":
    "CEL für `expression`, eine Vorlage in einfachen Worten für `llm`, der Name eines Ereignisses für `event`.",
  "Calls; a failure, or a status of 400 and above, is the event `error`.":
    "Ruft auf; ein Fehlschlag oder ein Status ab 400 ist das Ereignis `error`.",
  "Changes the session's variables and nothing else.": "Ändert die Variablen der Sitzung und sonst nichts.",
  "Does nothing by itself; an `always` edge must be there as the else.":
    "Tut selbst nichts; eine Kante `always` muss als „sonst“ da sein.",
  "Each turn: go along an edge if one holds, else answer.":
    "Bei jedem Wortwechsel: einer Kante folgen, wenn eine zutrifft, sonst antworten.",
  "For `read`: is set to the digits.": "Für `read`: wird auf die Ziffern gesetzt.",
  "For `read`: the worker reports after so many digits,": "Für `read`: Der Worker meldet nach so vielen Ziffern,",
  "For `send`: of `0-9 A-D * #`.": "Für `send`: aus `0-9 A-D * #`.",
  "For each try.": "Für jeden Versuch.",
  "For people and editors.": "Für Menschen und Editoren.",
  "Greets a user who has said nothing yet; otherwise goes on at once.":
    "Begrüßt, wer noch nichts gesagt hat; sonst geht es gleich weiter.",
  "How `condition` is judged, for a global node.": "Wie `condition` beurteilt wird, bei einem Knoten, der von überall erreichbar ist.",
  "How long the call usually takes; None: as the last calls took.":
    "Wie lange der Aufruf gewöhnlich dauert; leer: so lange wie die letzten Aufrufe.",
  "How often the model is asked again after an answer that does not fit.":
    "Wie oft das Modell nach einer Antwort, die nicht passt, noch einmal gefragt wird.",
  "In this order: a later one sees what an earlier one has set.":
    "In dieser Reihenfolge: Eine spätere sieht, was eine frühere gesetzt hat.",
  "Is set to the status; 0 if there was no answer.": "Wird auf den Status gesetzt; 0, wenn keine Antwort kam.",
  "It can be reached from wherever the flow waits for the user, and returns there.":
    "Von überall erreichbar, wo der Ablauf auf den Nutzer wartet; danach geht es dort weiter.",
  "It changes nothing out there although it is no GET: runs before the commit, too.":
    "Ändert draußen nichts, obwohl es kein GET ist: läuft auch vor der Bestätigung.",
  "JSON Schema (2020-12) of an object; its properties become variables.":
    "JSON Schema (2020-12) eines Objekts; seine Eigenschaften werden zu Variablen.",
  "Largest answer.": "Größte Antwort.",
  "Lower goes first; equal ones go in the document's order.":
    "Niedrigere zuerst; gleiche in der Reihenfolge des Dokuments.",
  "Names and first values; every session begins with a copy.":
    "Namen und erste Werte; jede Sitzung beginnt mit einer Kopie.",
  "Nothing beyond what every node has: the conditions stand on the edges.":
    "Nichts außer dem, was jeder Knoten hat: Die Bedingungen stehen an den Kanten.",
  "One variable; exactly one of `template`, `expression` and `value`.":
    "Eine Variable; genau eines von `template`, `expression` und `value`.",
  "Passed to the provider as they are.": "Gehen unverändert an den Anbieter.",
  "Searches by words, in SQLite's FTS5 or PostgreSQL; event `nothing_found` if none fit.":
    "Sucht nach Wörtern, mit FTS5 von SQLite oder mit PostgreSQL; Ereignis `nothing_found`, wenn nichts passt.",
  "Sends and goes on, or asks for digits and waits: they come as the next turn's input.":
    "Sendet und geht weiter, oder bittet um Ziffern und wartet: Sie kommen als Eingabe des nächsten Wortwechsels.",
  "Set by the store: None for a draft, 1 and up for published versions.":
    "Setzt der Speicher: leer beim Entwurf, ab 1 bei veröffentlichten Versionen.",
  "Sets what it extracts; the event `error` if no answer fits.":
    "Setzt, was es herausliest; Ereignis `error`, wenn keine Antwort passt.",
  "Speaks, then waits or goes on.": "Spricht, dann wartet es oder geht weiter.",
  "Spoken before.": "Wird vorher gesprochen.",
  "Spoken when the edge is taken.": "Wird gesprochen, wenn der Kante gefolgt wird.",
  "Spoken when the session opens.": "Wird gesprochen, wenn die Sitzung beginnt.",
  "Tells the worker to hand over; without an edge the session is then over.":
    "Sagt dem Worker, dass er übergeben soll; ohne Kante ist die Sitzung damit zu Ende.",
  "Text as it is, or JSON, in whose texts templates are filled.":
    "Text, wie er ist, oder JSON, in dessen Texten Vorlagen gefüllt werden.",
  "The last node of a session; runs after the commit, since nothing can follow it.":
    "Der letzte Knoten einer Sitzung; läuft nach der Bestätigung, denn nichts kann ihm folgen.",
  "The last words.": "Die letzten Worte.",
  "The silence that is borne while nothing is known about the call.":
    "Die Stille, die ertragen wird, solange über den Aufruf nichts bekannt ist.",
  "The system prompt.": "Die Anweisung an das Sprachmodell.",
  "The text that the template gives.": "Der Text, den die Vorlage ergibt.",
  "This value as it is.": "Dieser Wert, wie er ist.",
  "Told to whoever takes the call over.": "Wird dem gesagt, der das Gespräch übernimmt.",
  "Tries after a failure that may pass, with growing pauses.":
    "Versuche nach einem Fehlschlag, der vorübergehen kann, mit wachsenden Pausen.",
  "Turns the value into this type, so that a template can set a number.":
    "Macht den Wert zu dieser Art, so dass eine Vorlage eine Zahl setzen kann.",
  "Values of variables are percent-encoded; only a variable at the very beginning, which holds\nthe service's address, is not.":
    "Werte von Variablen werden prozentkodiert; nur eine Variable ganz am Anfang, die die Adresse des Dienstes enthält, nicht.",
  "Variables and the JSON Pointers (RFC 6901) of their values in the answer.":
    "Variablen und die JSON Pointer (RFC 6901) ihrer Werte in der Antwort.",
  "Wait for the user's answer before going on.": "Vor dem Weitergehen auf die Antwort des Nutzers warten.",
  "What is said while a slow call is under way.\n\nA call that is known to take long is covered at once; one that usually ends soon after\n`after_ms` is waited for a little longer, since the filler would only delay its answer.":
    "Was gesagt wird, während ein langsamer Aufruf läuft.\n\nEin Aufruf, der bekanntlich lange dauert, wird gleich überbrückt; auf einen, der gewöhnlich bald nach `after_ms` endet, wird ein wenig länger gewartet, denn die Überbrückung würde die Antwort nur verzögern.",
  "What is said.": "Was gesagt wird.",
  "What nodes use where they name nothing else.": "Was Knoten benutzen, die nichts anderes nennen.",
  "What the expression comes to.": "Was der Ausdruck ergibt.",
  "What the model should know beside the schema.": "Was das Modell außer dem Schema wissen soll.",
  "What to look for.": "Wonach gesucht wird.",
  "When a global node is reached.": "Wann ein Knoten erreicht wird, der von überall erreichbar ist.",
  "When an edge is taken, and what is said on the way.": "Wann einer Kante gefolgt wird und was unterwegs gesagt wird.",
  "Where an editor draws a node, in its own units.": "Wo ein Editor den Knoten zeichnet, in seinen eigenen Einheiten.",
  "Whether the user may interrupt what this node says; None: as the flow's default says.":
    "Ob der Nutzer unterbrechen darf, was dieser Knoten sagt; leer: wie die Vorgabe des Ablaufs.",
  "`always` edges are tried after all others: one that stands beside conditions is the else.":
    "Kanten `always` kommen nach allen anderen: Neben Bedingungen ist eine solche das „sonst“.",
  "…or after so long without another.": "… oder nach so langer Zeit ohne eine weitere.",
  "…or after this one,": "… oder nach dieser Taste,",
};
