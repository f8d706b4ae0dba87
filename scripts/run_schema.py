"""Writes docs/run.schema.json: the JSON schema of run.json."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnunet_tf.answers.run_record import RunRecord  # noqa: E402

SCHEMA = ROOT / "docs" / "run.schema.json"


def schema() -> str:
    """Returns the content of the file."""
    return json.dumps(RunRecord.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
