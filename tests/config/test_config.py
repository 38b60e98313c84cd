"""The catalog's settings, and only they, are read from ``mkdocs.yml``."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.config import AppViewSettings, NetworkSettings, Source, load_settings, read_settings, samples_to_compare
from catalog.errors import InvalidConfig

WHOLE = """\
site_name: Anything
theme: {name: material, custom_dir: !relative $config_dir}
markdown_extensions:
  - pymdownx.emoji:
      emoji_index: !!python/name:os.system
      emoji_generator: !!python/object/apply:os.system ["touch BAD"]
plugins:
  - search
  - catalog:
      store: !ENV [NOT_SET_ANYWHERE, .catalog/s.sqlite]
      contact: !ENV CATALOG_TEST_CONTACT
      crawl: true
      sources:
        - manifests: examples/manifests
        - repo: "@alice.example.org"
        - pds: https://PDS.example.org:8443/
      deny: [did:plc:aaaaaaaaaaaaaaaaaaaaaaaa]
"""


def test_a_whole_configuration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MkDocs's own tags around it, none of which is run."""
    monkeypatch.setenv("CATALOG_TEST_CONTACT", "https://example.org/about")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mkdocs.yml"
    file.write_text(WHOLE, encoding="utf-8")
    settings = load_settings(file)
    assert settings.store == tmp_path / ".catalog" / "s.sqlite"
    assert [str(source) for source in settings.sources] == [
        "manifests:examples/manifests",
        "repo:alice.example.org",
        "pds:https://pds.example.org:8443",
    ]
    assert settings.deny == ("did:plc:" + "a" * 24,)
    assert settings.network.contact == "https://example.org/about"
    assert settings.base == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["mkdocs.yml"]


@pytest.mark.parametrize("plugins", ["[search, catalog]", "[catalog: ]", "{search: {}, catalog: {}}"])
def test_the_block_may_be_short(tmp_path: Path, plugins: str) -> None:
    """Wherever MkDocs lets it stand."""
    file = tmp_path / "mkdocs.yml"
    file.write_text(f"plugins: {plugins}", encoding="utf-8")
    assert load_settings(file).sources == ()


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{stroe: x}", "did you mean 'store'"),
        ("{store: 5}", "store"),
        ("{store: ''}", "store"),
        ("{sources: {repo: alice.example.org}}", "sources"),
        ("{sources: [alice.example.org]}", "sources[0]"),
        ("{sources: [{repo: a.example.org}, {rpeo: alice.example.org}]}", "sources[1]"),
        ("{sources: [{repo: alice}]}", "sources[0].repo"),
        ("{sources: [{pds: pds.example.org}]}", "sources[0].pds"),
        ("{sources: [{pds: 'https://pds.example.org/xrpc'}]}", "sources[0].pds"),
        ("{sources: [{pds: 'https://[::1'}]}", "sources[0].pds"),
        ("{sources: [{pds: 'https://user@pds.example.org'}]}", "sources[0].pds"),
        ("{sources: [{repo: a.example.org}, {repo: a.example.org}]}", "twice"),
        ("{deny: did:plc:aaaaaaaaaaaaaaaaaaaaaaaa}", "deny"),
        ("{deny: [alice.example.org]}", "deny takes DIDs"),
        ('{contact: "a\\nb"}', "contact"),
        ("{compare: -1}", "compare"),
        ("{compare: all}", "compare"),
        ("{compare: true}", "compare"),
        ("[]", "plugins.catalog"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(tmp_path: Path, block: str, words: str) -> None:
    """The file, the path in it, and what to do."""
    file = tmp_path / "mkdocs.yml"
    file.write_text(f"plugins: [catalog: {block}]", encoding="utf-8")
    with pytest.raises(InvalidConfig) as caught:
        load_settings(file)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("block", "variable", "expected"),
    [("{}", "", None), ("{}", "7", 7), ("{compare: 0}", "7", 0), ("{compare: 1000}", "", 1000)],
)
def test_the_number_of_samples_to_compare_is_a_setting_or_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, block: str, variable: str, expected: int | None
) -> None:
    monkeypatch.setenv("CATALOG_COMPARE", variable)
    file = tmp_path / "mkdocs.yml"
    file.write_text(f"plugins: [catalog: {block}]", encoding="utf-8")
    assert load_settings(file).compare == expected


@pytest.mark.parametrize("text", ["-1", "all", "1.5", "²", "9" * 13])
def test_a_variable_that_is_no_number_of_samples_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CATALOG_COMPARE", text)
    with pytest.raises(InvalidConfig, match="CATALOG_COMPARE"):
        samples_to_compare()


@pytest.mark.parametrize(
    "text", ["", "plugins: [search]", "- a", "{", "a: \x00", "[" * 5000, "plugins: [catalog: &a *a]"]
)
def test_a_file_without_our_block_is_told(tmp_path: Path, text: str) -> None:
    """Or one that isn't YAML, or isn't there."""
    file = tmp_path / "mkdocs.yml"
    file.write_text(text, encoding="utf-8")
    for path in (file, tmp_path, tmp_path / "missing.yml"):
        with pytest.raises(InvalidConfig):
            load_settings(path)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["store", "sources", "deny", "contact"]) | st.text(max_size=10), _values, max_size=6
    )
)
def test_any_block_is_read_or_refused(block: dict[str, object]) -> None:
    """With our own error."""
    try:
        settings = read_settings(block, Path("base"))
    except InvalidConfig:
        return
    assert all(isinstance(source, Source) for source in settings.sources)


def test_the_environment_says_where_the_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset and empty are the same; what isn't a server or a 0 or 1 is refused."""
    names = ("CATALOG_PLC_URL", "CATALOG_ALLOW_LOOPBACK", "CATALOG_HANDLE_RESOLVER", "CATALOG_CONTACT")
    for name in names:
        monkeypatch.setenv(name, "")
    assert NetworkSettings.from_environment() == NetworkSettings()
    for name, value in zip(names, ("http://localhost:1", "1", "http://localhost:2/", "me"), strict=True):
        monkeypatch.setenv(name, value)
    assert NetworkSettings.from_environment() == NetworkSettings(
        plc_url="http://localhost:1", allow_loopback=True, handle_resolver="http://localhost:2", contact="me"
    )
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "yes")
    with pytest.raises(InvalidConfig, match="CATALOG_ALLOW_LOOPBACK"):
        NetworkSettings.from_environment()


def test_private_networks_are_named_in_the_block_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block's go before the environment's, also when it names none."""
    lab = (ip_network("10.20.0.0/16"), ip_network("fd00::/8"))
    monkeypatch.setenv("CATALOG_ALLOW_ADDRESSES", "10.20.0.0/16, fd00::/8")
    assert NetworkSettings.from_environment().allow_addresses == lab
    assert read_settings({}, Path()).network.allow_addresses == lab
    assert read_settings({"allow_addresses": ["192.168.1.7"]}, Path()).network.allow_addresses == (
        ip_network("192.168.1.7/32"),
    )
    assert read_settings({"allow_addresses": []}, Path()).network.allow_addresses == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.20.0.7/16", r"has host bits set.*did you mean 10\.20\.0\.0/16\?"),
        ("lab.example.org", "'lab.example.org' is neither an address nor a network.*for example"),
        ("10.20.0.0/33", "neither an address nor a network"),
        ("127.0.0.1", "is this machine.*CATALOG_ALLOW_LOOPBACK"),
        ("::1", "is this machine"),
        ("0.0.0.0/0", "not in a private network"),
        ("::/0", "not in a private network"),
        ("8.8.8.8", "not in a private network.*public addresses are opened anyway"),
        ("10.0.0.0/7", "not in a private network"),
        ("::ffff:10.0.0.1", "not in a private network"),
        ("169.254.0.0/16", "link-local.*single addresses"),
        ("fe80::/64", "link-local"),
        ("fe80::1%eth0", "names an interface"),
    ],
)
def test_networks_that_cannot_be_allowed_are_refused_with_the_reason(text: str, said: str) -> None:
    """And where they stand."""
    for value in (text, [text], ["10.0.0.1", text]):
        with pytest.raises(InvalidConfig, match=f"allow_addresses: (?s:.*){said}"):
            read_settings({"allow_addresses": value}, Path())


@given(_values)
def test_any_list_of_networks_is_read_or_refused(value: object) -> None:
    """With our own error."""
    try:
        networks = read_settings({"allow_addresses": value}, Path()).network.allow_addresses
    except InvalidConfig:
        return
    assert isinstance(networks, tuple)


# --- the AppView ------------------------------------------------------------------------------------------------------


def test_the_appview_has_settings_that_need_not_be_given(tmp_path: Path) -> None:
    usual = read_settings({}, tmp_path).appview
    assert usual == read_settings({"appview": {}}, tmp_path).appview == AppViewSettings()
    assert (usual.requests, usual.seconds, usual.origins, usual.url) == (3000, 300, ("*",), None)


def test_the_appviews_settings_are_read(tmp_path: Path) -> None:
    block = {
        "url": "https://AppView.example.org/",
        "index": ".catalog/index",
        "trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"],
        "rate_limit": {"requests": 10, "seconds": 60},
        "origins": ["https://data.example.org"],
    }
    found = read_settings({"appview": block}, tmp_path).appview
    assert found.url == "https://appview.example.org"
    assert found.index == tmp_path / ".catalog" / "index"
    assert [str(proxy) for proxy in found.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"]
    assert (found.requests, found.seconds) == (10, 60)
    assert found.origins == ("https://data.example.org",)
    assert read_settings({"appview": {"rate_limit": False}}, tmp_path).appview.requests == 0


@pytest.mark.parametrize(
    ("block", "where"),
    [
        (True, "appview"),
        ({"ulr": "https://a.example"}, "appview.ulr"),
        ({"url": "appview.example.org"}, "appview.url"),
        ({"url": "https://appview.example.org/path"}, "appview.url"),
        ({"index": ""}, "appview.index"),
        ({"trusted_proxies": "10.0.0.0/8"}, "appview.trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "appview.trusted_proxies"),
        ({"trusted_proxies": ["proxy.example.org"]}, "appview.trusted_proxies"),
        ({"trusted_proxies": [1]}, "appview.trusted_proxies"),
        ({"rate_limit": 100}, "appview.rate_limit"),
        ({"rate_limit": {"requests": 100}}, "appview.rate_limit"),
        ({"rate_limit": {"requests": 0, "seconds": 60}}, "appview.rate_limit.requests"),
        ({"rate_limit": {"requests": 1, "seconds": True}}, "appview.rate_limit.seconds"),
        ({"origins": "*"}, "appview.origins"),
        ({"origins": ["data.example.org"]}, "appview.origins"),
        ({"origins": [None]}, "appview.origins"),
    ],
)
def test_what_is_wrong_with_the_appviews_settings_is_told_with_its_place(block: object, where: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_settings({"appview": block}, Path())
    assert caught.value.where == where
