"""What a stack's failure means, in words: what failed first, why, and what to do."""

from __future__ import annotations

import re

from lensa.backends.sagemaker.stack.progress import Happening
from lensa.backends.sagemaker.stack.state import Stack

_ADVICE = [
    (
        r"not authorized|AccessDenied|Access Denied|explicit deny",
        "Setting up makes roles and a bucket: it takes somebody who may do that. Where an "
        "organisation prescribes a path or a boundary for roles: --role-path, "
        "--permissions-boundary.",
    ),
    (
        r"already (exists|owned)",
        "Something of that name is there already. Choose another bucket (--bucket), or another "
        "name for the stack (--stack-name), from which its secrets have theirs.",
    ),
    (
        r"[Ll]imit|[Qq]uota",
        "Ask for more: https://console.aws.amazon.com/servicequotas/home, or remove what is not "
        "needed.",
    ),
    (
        r"[Cc]annot delete a policy attached|DeleteConflict",
        "Detach the policy from people, groups and roles first, then repeat the command.",
    ),
]
_STATES = {
    "ROLLBACK_COMPLETE": "What had been made is removed again; the empty stack is left, and the "
    "next lensa setup offers to delete it.",
    "UPDATE_ROLLBACK_COMPLETE": "Everything is as it was before.",
    "UPDATE_ROLLBACK_FAILED": "The way back failed, too. When its reason is mended: aws "
    "cloudformation continue-update-rollback --stack-name {name}",
    "DELETE_FAILED": "What could not be removed is still there; mend the reason, and repeat the "
    "command.",
}


def failed(name: str, stack: Stack | None, first: Happening | None) -> str:
    """Return the message for a change that did not succeed."""
    if stack is None:
        return f"the stack {name} is gone: somebody deleted it meanwhile. Repeat the command."
    sentences = []
    if first is None:
        reason = f" ({stack.reason.rstrip('.')})" if stack.reason else ""
        sentences.append(f"the stack {name} is now {stack.status}{reason}.")
    else:
        what = f"{first.resource} ({first.type})" if first.type else first.resource
        reason = first.reason or "CloudFormation gives no reason"
        sentences.append(f"the stack {name} failed at {what}: {reason.rstrip('.')}.")
        sentences += [advice for pattern, advice in _ADVICE if re.search(pattern, reason)][:1]
    sentences.append(
        _STATES.get(stack.status, f"The stack is now {stack.status}.").format(name=name)
    )
    return " ".join(sentences)


def unusable(stack: Stack) -> str:
    """Return the message for a stack that can be neither changed nor made anew as it is."""
    advice = _STATES.get(
        stack.status, "Look at it in the console (CloudFormation), or take another --stack-name."
    )
    return f"the stack {stack.name} is {stack.status}. {advice.format(name=stack.name)}"
