"""`jwtdrill attack` and `cases` as a user runs them, against the lab's issuer and verifiers."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
import tomlkit
from tests.integration.conftest import Commands, until

pytestmark = pytest.mark.integration
PLACES = {
    "verifier-a",
    "verifier-b",
    "verifier-a/payments",
    "introspection endpoint",
    "token endpoint, client authentication",
    "token endpoint, assertion as grant",
    "token endpoint, proof",
    "verifier-a, proof",
    "verifier-b, proof",
    "verifier-a-mtls",
    "token endpoint, certificate",
    "security token service",
}


def test_the_lab_holds_everywhere_and_no_token_is_shown(lab: Commands, tmp_path: Path) -> None:
    done = lab.run("jwtdrill", "attack", lab.target, "--json", "--junit", tmp_path / "junit.xml")
    assert done.returncode == 0, done.stdout[-2000:]
    content = json.loads(done.stdout)
    assert content["held"]
    assert not content["findings"]
    assert {tally["resource"] for tally in content["tallies"]} == PLACES
    assert sum(tally["count"] for tally in content["tallies"]) > 1500
    suites = ElementTree.fromstring((tmp_path / "junit.xml").read_text())
    assert {suite.get("name") for suite in suites} == PLACES
    assert "eyJ" not in done.stdout + (tmp_path / "junit.xml").read_text()


@pytest.mark.slow
def test_without_a_signer_most_of_it_runs_and_the_rest_says_what_it_needs(lab: Commands, tmp_path: Path) -> None:
    content = tomlkit.parse(Path(lab.target).read_text())
    del content["signer"]
    target = Path(lab.target).with_name("no-signer.toml")
    target.write_text(tomlkit.dumps(content))
    done = lab.run("jwtdrill", "attack", target, "--json")
    assert done.returncode == 0, done.stdout[-2000:]
    answer = json.loads(done.stdout)
    unsigned = [entry for entry in answer["not_run"] if "[[signer]]" in entry["reason"]]
    assert {entry["resource"] for entry in unsigned} == {
        *("verifier-a", "verifier-b", "verifier-a/payments", "verifier-a-mtls"),
        *("introspection endpoint", "security token service"),
    }
    assert len({entry["case"] for entry in unsigned}) > 100
    at_a = [tally for tally in answer["tallies"] if tally["resource"] == "verifier-a"]
    assert len(at_a) > 130


def test_a_ready_token_from_a_command_is_enough(lab: Commands, tmp_path: Path) -> None:
    """Where no client can be had: the command is asked again, and what needs more says so."""
    content = tomlkit.parse(Path(lab.target).read_text())
    folder = Path(lab.target).parent
    mine = tmp_path / "get-token"
    mine.write_text(
        f"#!/bin/sh\necho asked >> {tmp_path}/calls\n"
        f"{sys.executable} -c 'import httpx,sys; print(httpx.post(sys.argv[1], "
        'data={"grant_type": "client_credentials"}, auth=("partner-client", open(sys.argv[2]).read()))'
        f'.json()["access_token"])\' {content["issuer"]["url"]}/token {folder}/keys/client-secret\n'
    )
    mine.chmod(0o755)
    for name in ("client", "signer", "foreign", "sts"):
        del content[name]
    content["token"] = [{"value": f"command:{mine}"}]
    target = Path(lab.target).with_name("ready.toml")
    target.write_text(tomlkit.dumps(content))
    done = lab.run("jwtdrill", "attack", target, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["findings"]) == (0, []), done.stdout[-2000:]
    assert {tally["resource"] for tally in answer["tallies"]} == {"verifier-a", "verifier-b", "verifier-a/payments"}
    assert sum(tally["count"] for tally in answer["tallies"]) > 200
    assert (tmp_path / "calls").read_text().count("asked") >= 2
    assert "eyJ" not in done.stdout + done.stderr


def test_one_family_as_a_table(lab: Commands) -> None:
    done = lab.run("jwtdrill", "attack", lab.target, "--family", "alg_none")
    assert done.returncode == 0
    assert done.stdout.endswith("HELD\n")
    assert "verifier-a" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--case", "alg_non"), "unknown case 'alg_non': did you mean alg_none?"),
        (("--family", "x"), "unknown family 'x': choose from"),
        (("--junit", "/no/such/folder/x.xml"), "/no/such/folder/x.xml"),
        (("--case", "alg_none", "--family", "time"), "no case is of all that was asked for"),
        (("--case", "key_removed"), "nothing of what was asked for was run: say --remove-key"),
    ],
)
def test_bad_input_is_one_line(lab: Commands, arguments: tuple[str, ...], message: str) -> None:
    done = lab.run("jwtdrill", "attack", lab.target, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_token_is_waited_out_if_there_is_time(lab: Commands) -> None:
    """It was accepted, and must not be once its time and the leeway are over, whatever is remembered of it."""
    done = lab.run("jwtdrill", "attack", lab.target, "--case", "expired_since", "--wait", "6", "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    tallies = {(tally["resource"], tally["case"]): tally["verdict"] for tally in content["tallies"]}
    assert tallies["verifier-a", "expired_since"] == "rejected"
    quick = json.loads(lab.run("jwtdrill", "attack", lab.target, "--case", "expired_since", "--json").stdout)
    assert {entry["reason"] for entry in quick["not_run"] if entry["resource"] == "verifier-a"} == {
        "takes 5 s: say --wait 5"
    }


def test_a_token_whose_key_is_removed_is_refused_once_caches_know(lab: Commands) -> None:
    """The fault agent takes the key away, and brings it back; a resource that never looks again is found."""
    done = lab.run("jwtdrill", "attack", lab.target, "--case", "key_removed", "--remove-key", "--wait", "25", "--json")
    content = json.loads(done.stdout)
    told = {tally["resource"]: tally["verdict"] for tally in content["tallies"] if tally["case"] == "key_removed"}
    assert done.returncode == 0, done.stdout[-2000:]
    assert {told["verifier-a"], told["verifier-b"]} == {"rejected"}
    without = ("jwtdrill", "attack", lab.target, "--case", "key_removed")
    until(lambda: lab.run(*without).returncode == 2, 30)  # once the new key is known everywhere
    assert "say --remove-key" in lab.run(*without).stderr
    content = tomlkit.parse(Path(lab.target).read_text())
    content["break"]["faults"] = []
    forbidden = Path(lab.target).with_name("unbroken.toml")
    forbidden.write_text(tomlkit.dumps(content))
    refused = lab.run("jwtdrill", "attack", forbidden, "--case", "key_removed", "--remove-key", "--wait", "25")
    assert (refused.returncode, "under [break]" in refused.stderr) == (2, True)


def test_a_revoked_token_is_judged_at_introspection_by_a_request_of_its_own(lab: Commands) -> None:
    """The client's assertion serves once: the same request again would be refused for that alone."""
    content = json.loads(lab.run("jwtdrill", "attack", lab.target, "--case", "revoked", "--json").stdout)
    told = {(tally["resource"], tally["case"]): tally["verdict"] for tally in content["tallies"]}
    assert told["introspection endpoint", "revoked"] == "rejected"


def test_where_all_tokens_are_bound_to_a_key_nothing_is_sent_without_proof(lab: Commands) -> None:
    content = tomlkit.parse(Path(lab.target).read_text())
    content["client"] = [entry for entry in content["client"] if entry.get("dpop")]
    target = Path(lab.target).with_name("bound-only.toml")
    target.write_text(tomlkit.dumps(content))
    done = lab.run("jwtdrill", "attack", target, "--family", "proof", "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    places = {tally["resource"] for tally in json.loads(done.stdout)["tallies"]}
    assert places == {"verifier-a, proof", "verifier-b, proof", "token endpoint, proof"}
    items = {i["name"]: i["status"] for i in json.loads(lab.run("jwtdrill", "check", target, "--json").stdout)}
    assert items["verifier-a accepts a good token"] == "pass"


def test_the_corpus_is_listed(lab: Commands) -> None:
    listed = json.loads(lab.run("jwtdrill", "cases", "--json").stdout)
    assert len(listed) >= 300
    assert all(entry["source"] and entry["attacks"] for entry in listed)
    table = lab.run("jwtdrill", "cases", "--family", "psychic_signature").stdout
    assert "CVE-2022-21449" in table


def test_no_more_tokens_are_asked_of_the_issuer_than_the_file_allows(lab: Commands) -> None:
    """One limit for all places together, counted by the issuer itself."""
    content = tomlkit.parse(Path(lab.target).read_text())
    content["limits"]["tokens"] = 40
    content["resource"] = [one for one in content["resource"] if not one.get("one_time")]  # it alone would use them up
    target = Path(lab.target).with_name("few-tokens.toml")
    target.write_text(tomlkit.dumps(content))
    metrics = str(content["issuer"]["metrics"])

    def granted() -> float:
        lines = [line for line in httpx.get(metrics).text.splitlines() if line.startswith("jwt_issuance_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'result="success"' in line)

    before = granted()
    done = lab.run("jwtdrill", "attack", target, "--json")
    answer = json.loads(done.stdout)
    assert granted() - before <= 40
    assert [entry for entry in answer["not_run"] if "limits.tokens is used up" in entry["reason"]]
    assert any("limits.tokens is used up" in why for why in answer["cannot_tell"].values())
    assert done.returncode == 1
