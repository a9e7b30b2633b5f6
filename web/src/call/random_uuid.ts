/** LiveKit's client names what it sends with `crypto.randomUUID`, which pages over plain http lack. */

import { newId } from "@parley/client";

crypto.randomUUID ??= newId as typeof crypto.randomUUID;
