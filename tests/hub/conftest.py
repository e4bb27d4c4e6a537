import pytest

from tests.support.hub_server import HubServer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub that the real client in this process talks to."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    with HubServer(tmp_path / "hub") as server:
        # The client reads HF_ENDPOINT once, when it is imported; subprocesses are given the variable itself.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield server
