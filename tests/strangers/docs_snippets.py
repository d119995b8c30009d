"""The examples of docs/sandbox.md as they stand there, each against a sandbox: what a reader copies works.

`tests/strangers/run.py` starts it. Python examples run in this process, so none of them can leave loopback; curl is given this host alone.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from checks import begin, check, done

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"
ANSWERS = {  # what each example must have printed, by a word of it
    "balanceQuery": ["USDC", "available"],
    "ccxt.backpack(": ["10000", "canceled"],
    "ccxt.pro.backpack(": ["["],
    "bpx.account": ["USDC", "New"],
    "AuthenticationClient": ["orderAccepted", "New"],
}


def python_examples(page, ready):
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for example in examples:
        said, sys.stdin = io.StringIO(), io.StringIO(json.dumps(ready) + "\n")
        with redirect_stdout(said):
            exec(compile(example, str(PAGE), "exec"), {"__name__": "__main__"})
        words = next(words for word, words in ANSWERS.items() if word in example)
        check(example.splitlines()[1], all(word in said.getvalue() for word in words), said.getvalue())
    check("every client has its example", len(examples) == len(ANSWERS), len(examples))


def curl_examples(page, ready):
    for line in re.findall(r"^    (curl 'http.*)$", page, re.MULTILINE):
        url = line.split("'")[1].replace("http://127.0.0.1:8080", ready["rest_url"])
        said = subprocess.run(["curl", "-sf", "--noproxy", "*", url], capture_output=True, text=True, check=True).stdout
        check(line, isinstance(json.loads(said), list | dict), said)
    (script,) = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    key = ready["accounts"][1]
    given = {"REST": ready["rest_url"], "API_KEY": key["api_key"], "SECRET": key["secret"], "PATH": os.environ["PATH"], "NO_PROXY": "*"}
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(["bash", "-eu", "-c", script], env=given, cwd=folder, capture_output=True, text=True, check=False)
    check("signed curl", '"available":"10000"' in said.stdout and '"status":"New"' in said.stdout, said.stdout + said.stderr)


def main():
    alive, _ = begin()
    page = PAGE.read_text(encoding="utf-8")
    python_examples(page, alive)
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False).stdout if shutil.which("openssl") else ""
    if shutil.which("curl") and openssl.startswith("OpenSSL 3"):
        curl_examples(page, alive)
    else:
        print("curl or openssl 3 is not here: their examples were not tried")
    done("the examples of docs/sandbox.md")


if __name__ == "__main__":
    main()
