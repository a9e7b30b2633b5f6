/** Changes that the server does not have yet, kept in this browser. */

import { remember, remembered, rememberedNames } from "../memory";
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

/** Gives whether it is kept. */
export const keepDraft = (flowId: string, draft: Draft | undefined): boolean =>
  remember(`flow.${flowId}`, draft && JSON.stringify(draft));

/** Flows with changes that only this browser has. */
export const keptDraftIds = (): string[] => rememberedNames("flow.").filter((flowId) => keptDraft(flowId));
