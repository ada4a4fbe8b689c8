"""OpenAI's `/v1/models`: the one model that is loaded."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request

from app.errors import ModelNotFound
from app.routes.openai.schemas import Model, ModelList
from app.routes.state import runner_of


def router() -> APIRouter:
    """List and retrieve."""
    created = int(time.time())

    async def list_models(request: Request) -> ModelList:
        """The models of this server: one."""
        return ModelList(data=[_model(request, created)])

    async def retrieve_model(request: Request, model: str) -> Model:
        """The loaded model, by its id."""
        loaded = _model(request, created)
        if model != loaded.id:
            raise ModelNotFound(loaded.id, model)
        return loaded

    routes = APIRouter(prefix="/models")
    routes.get("", operation_id="listModels", summary="List models")(list_models)
    routes.get("/{model:path}", operation_id="retrieveModel", summary="Retrieve model")(
        retrieve_model
    )
    return routes


def _model(request: Request, created: int) -> Model:
    model_id = runner_of(request.app).settings.model_id
    owner, slash, _ = model_id.partition("/")
    return Model(id=model_id, created=created, owned_by=owner if slash else "local")
