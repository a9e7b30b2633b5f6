/** Changes that the server does not have yet, kept in this browser. */

import { remember, remembered } from "../memory";
import { type FlowDocument, readDocument } from "./document";

export interface Draft {
  document: FlowDocument;
  /** What the change began from; undefined for a flow that was never saved. */
  etag: string | undefined;
}

export function keptDraft(flowId: string): Draft | undefined {
  try {
    const { document, etag } = JSON.parse(remembered(`flow.${flowId}`) ?? "") as Draft;
    return { document: readDocument(document), etag };
  } catch {
    return undefined;
  }
}

export const keepDraft = (flowId: string, draft: Draft | undefined): void =>
  remember(`flow.${flowId}`, draft && JSON.stringify(draft));
