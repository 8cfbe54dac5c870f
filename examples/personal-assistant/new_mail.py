"""Print the mail of a Maildir as JSON lines, for a poller: `python3 new_mail.py FOLDER`.

Looks at what is there and changes nothing: Baton remembers the ids that it has seen.
"""

import email.policy
import json
import sys
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

MOST_CHARACTERS = 4000


def main(maildir: Path) -> int:
    """Print what is there; 1 when FOLDER is no Maildir, so that an empty answer is never a mistake."""
    if not (maildir / "new").is_dir():
        print(f"{maildir} has no folder `new`: is it a Maildir?", file=sys.stderr)
        return 1
    for file in sorted((maildir / "new").iterdir()):
        if not file.name.startswith("."):
            print(json.dumps(facts(file), ensure_ascii=False))
    return 0


def facts(file: Path) -> dict[str, str]:
    """What the prompt is told. The id is the message's own, or else the name of its file."""
    message = BytesParser(EmailMessage, policy=email.policy.default).parsebytes(file.read_bytes())
    body = message.get_body(("plain", "html"))
    text = body.get_content() if body else ""
    return {
        "id": str(message["Message-ID"] or file.name),
        "from": str(message["From"] or ""),
        "subject": str(message["Subject"] or ""),
        "date": str(message["Date"] or ""),
        "text": text[:MOST_CHARACTERS],
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
