"""Simulated time for every async test, and nothing may outlive its test."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping

import pytest
import pytest_asyncio
import trustme
from hypothesis import HealthCheck, settings

from .virtual_time import VirtualTimeLoop, assert_nothing_is_left

# Loopback servers make the time of an example uneven; no assertion here is about time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# As many examples as `nox -s fuzz` asks for, and others each time: nothing here is remembered.
fuzz = os.environ.get("LUCCA_FUZZ")
if fuzz:
    settings.register_profile("fuzz", settings.get_profile("suite"), max_examples=int(fuzz))
settings.load_profile("fuzz" if fuzz else "suite")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_time: runs in an ordinary event loop")
    config.addinivalue_line("markers", "processes: kills, restarts or waits for real processes")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualTimeLoop}


@pytest_asyncio.fixture(autouse=True)
async def nothing_outlives_its_test() -> AsyncGenerator[None, None]:
    yield
    await assert_nothing_is_left()


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's TLS context that no client trusts."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
