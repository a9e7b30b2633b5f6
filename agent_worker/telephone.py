"""A telephone that the agent calls is in the room from the first ring; it hears once it answers."""

from __future__ import annotations

import logging

from livekit import rtc
from livekit.agents.utils.participant import wait_for_participant_attribute

logger = logging.getLogger(__name__)

STATUS = "sip.callStatus"
"""Attribute of a SIP participant: dialing, ringing, automation, active or hangup."""
RULE = "sip.ruleID"
"""Attribute that only those have who have called: LiveKit's dispatch rule."""


async def answered(room: rtc.Room, participant: rtc.RemoteParticipant) -> bool:
    """Waits until a called telephone is picked up; gives whether it was.

    Who has called is not waited for: livekit-sip picks up for them when it hears the agent's track.
    """
    attributes = participant.attributes
    is_sip = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
    if not is_sip or STATUS not in attributes or RULE in attributes:
        return True
    logger.info("room %s: the telephone rings", room.name)
    try:
        await wait_for_participant_attribute(
            room, identity=participant.identity, attribute=STATUS, value="active"
        )
    except RuntimeError:  # it has left the room, or the room is gone
        return False
    return True
