/** What the backend's error codes mean, in German; its own words are English.
 *
 * `{}` is where they stand, for codes that say little without them.
 */

export const GERMAN_ERRORS: Record<string, string> = {
  setting_invalid: "Eine Einstellung des Servers stimmt nicht: {}",
  setting_missing: "Dem Server fehlt eine Einstellung: {}",
  tool_missing: "Auf dem Server fehlt ein Programm: {}",
  port_in_use: "Der Anschluss des Servers ist schon belegt: {}",
  disk_full: "Die Festplatte des Servers ist voll. Schaffe Platz und versuche es noch einmal.",
  start_failed: "Ein Teil des Servers konnte nicht starten: {}",
  request_invalid: "Der Server kann damit nichts anfangen: {}",
  flow_not_found: "Diesen Ablauf gibt es auf dem Server nicht, oder er ist noch nicht veröffentlicht.",
  flow_exists: "Einen Ablauf mit dieser Kennung gibt es schon.",
  flow_invalid: "Der Ablauf hat Fehler: {}",
  flow_conflict: "Jemand anderes hat diesen Ablauf inzwischen gespeichert.",
  flow_in_use: "Der Ablauf wird gerade benutzt. Warte, bis seine Gespräche zu Ende sind.",
  flow_loop: "Der Ablauf läuft im Kreis, ohne etwas zu sagen: {}",
  precondition_required: "Der Server will wissen, von welcher Fassung die Änderung ausgeht. Lade die Seite neu.",
  session_not_found: "Dieses Gespräch gibt es auf dem Server nicht mehr. Beginne von vorn.",
  session_ended: "Das Gespräch ist zu Ende. Beginne ein neues.",
  turn_not_found: "Diese Antwort gibt es auf dem Server nicht mehr.",
  turn_conflict: "Diese Antwort wurde schon anders begonnen.",
  template_failed: "Eine Vorlage des Ablaufs ließ sich nicht ausfüllen: {}",
  expression_failed: "Ein Ausdruck des Ablaufs ließ sich nicht auswerten: {}",
  extract_failed: "Aus den Worten ließ sich nicht lesen, was der Ablauf braucht: {}",
  http_refused: "Der Ablauf darf diese Adresse nicht aufrufen: {}",
  http_failed: "Ein Aufruf des Ablaufs ist fehlgeschlagen: {}",
  variable_too_large: "Eine Variable ist zu groß: {}",
  node_failed: "Ein Knoten des Ablaufs ist fehlgeschlagen: {}",
  internal: "Im Server ist ein Fehler aufgetreten; sein Protokoll sagt, welcher.",
  provider_unknown: "Diesen Anbieter gibt es nicht: {}",
  provider_not_configured: "Dieser Anbieter ist nicht eingerichtet: {}",
  provider_unavailable: "Der Anbieter ist nicht zu erreichen. Versuche es gleich noch einmal.",
  provider_timeout: "Der Anbieter hat nicht rechtzeitig geantwortet. Versuche es noch einmal.",
  provider_rate_limited: "Der Anbieter nimmt gerade keine weiteren Anfragen an. Versuche es gleich noch einmal.",
  provider_unauthorized: "Der Anbieter nimmt den Schlüssel nicht an, der auf dem Server eingestellt ist.",
  provider_refused: "Der Anbieter hat die Anfrage abgelehnt: {}",
  provider_bad_response: "Der Anbieter hat etwas Unverständliches geantwortet: {}",
  voice_not_found: "Diese Stimme gibt es nicht: {}",
  voice_invalid: "Mit den Dateien dieser Stimme stimmt etwas nicht: {}",
  model_missing: "Ein Modell fehlt auf dem Server: {}",
  model_invalid: "Mit einem Modell des Servers stimmt etwas nicht: {}",
  text_too_long: "Der Text ist zu lang.",
  audio_invalid: "Der Server versteht den Ton nicht: {}",
  audio_too_long: "Die Aufnahme ist zu lang.",
  voice_list_unavailable: "Die Stimmen des Anbieters sind gerade nicht zu erfahren.",
  synthesis_failed: "Ein Teil der Antwort konnte nicht gesprochen werden.",
  transcription_failed: "Deine Worte konnten nicht verstanden werden. Sag sie noch einmal, oder schreibe.",
  backend_unavailable: "Der Server ist gerade nicht zu erreichen. Versuche es gleich noch einmal.",
  database_unavailable: "Die Datenbank des Servers ist nicht zu erreichen. Versuche es gleich noch einmal.",
  stream_interrupted: "Die Antwort ist abgebrochen.",
  stream_stalled: "Die Antwort ist stecken geblieben. Versuche es noch einmal.",
  stream_malformed: "Der Server hat etwas Unverständliches gesagt: {}",
  client_too_slow: "Die Verbindung war zu langsam für die Stimme.",
  message_too_large: "Die Nachricht ist zu groß.",
  unauthorized: "Der Server verlangt einen gültigen API-Schlüssel.",
  forbidden: "Dieser Schlüssel darf das nicht: {}",
  rate_limited: "Das waren zu viele Anfragen auf einmal. Versuche es gleich noch einmal.",
  overloaded: "Gerade sind alle Plätze belegt. Versuche es gleich noch einmal.",
};

/** The server's words, or their meaning in German where the page knows the code. */
export function germanError(code: string | undefined, words: string): string {
  const text = code && Object.hasOwn(GERMAN_ERRORS, code) ? GERMAN_ERRORS[code] : undefined;
  return text?.replace("{}", () => words) ?? words;
}
