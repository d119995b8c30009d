"""The declarations as pydantic models: what reads a whole set of values at once, and what the JSON schema is made of."""

import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from lemon_trader.config.errors import BadSetting, raise_all
from lemon_trader.config.sources import FILE_VERSION
from lemon_trader.config.values import LEVELS, default, parse, show
from lemon_trader.strategies.parameter import Parameter, Value

NUMBER_TEXT = r"^-?[0-9]+(\.[0-9]+)?$"
FIELD = "of_"  # a setting may be called `json` or `copy`, which pydantic keeps for itself
DURATION_TEXT = "^([0-9]+[smhd]?)+$"


@cache
def model_of(name: str, parameters: tuple[Parameter, ...]) -> type[BaseModel]:
    """The model with one field for each parameter, checked by `parse`, refusing what is not declared."""
    fields: dict[str, Any] = {
        f"{FIELD}{p.name}": (
            Annotated[Any, BeforeValidator(partial(parse, p)), WithJsonSchema(schema_of(p))],
            Field(default=default(p), description=p.help, alias=p.name),
        )
        for p in parameters
    }
    return create_model(name, __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def read(name: str, parameters: tuple[Parameter, ...], raw: Mapping[str, object], origins: Mapping[str, str]) -> dict[str, Value]:
    """Every parameter's value: what `raw` says, checked, else its default.

    Args:
        name: of the model, for its schema.
        parameters: all that are known here.
        raw: what was given, by parameter name.
        origins: where each came from, by parameter name; a refusal names it.

    Raises:
        BadSetting: with every refusal of the reading, the first one first.
    """
    try:
        found = model_of(name, parameters).model_validate(dict(raw))
    except ValidationError as error:
        raise_all([_refusal(detail, origins) for detail in error.errors(include_url=False)])
        raise
    return {p.name: getattr(found, f"{FIELD}{p.name}") for p in parameters}


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """What an editor or a form may offer for this parameter, as JSON schema."""
    match parameter.kind:
        case "bool":
            schema: dict[str, Any] = {"type": "boolean"}
        case "choice":
            schema = {"type": "string", "enum": list(parameter.choices)}
        case "text":
            schema = {"type": "string"}
        case "list":
            schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        case "levels":
            level = {"anyOf": [{"type": "string", "enum": list(LEVELS)}, {"type": "boolean"}]}
            table = {"type": "object", "properties": dict.fromkeys(parameter.choices, level), "additionalProperties": False}
            schema = {"anyOf": [{"type": "string"}, table]}
        case "duration":
            schema = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": DURATION_TEXT}]}
        case kind:
            number: dict[str, Any] = {"type": "integer" if kind == "int" else "number"}
            for word, bound in (("minimum", parameter.low), ("maximum", parameter.high)):
                if bound is not None:
                    number[word] = json.loads(bound)
            schema = {"anyOf": [number, {"type": "string", "pattern": NUMBER_TEXT}]}
    if parameter.default is None:
        schema = {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
    else:
        schema["default"] = show(parameter, default(parameter))
    return schema


def file_schema(general: Sequence[Parameter], pair: Sequence[Parameter], strategies: Mapping[str, Sequence[Parameter]]) -> dict[str, Any]:
    """The JSON schema of a settings file; descriptions are message ids, which the door that shows it replaces."""

    def properties(parameters: Sequence[Parameter]) -> dict[str, Any]:
        return {p.name: schema_of(p) | {"description": p.help} for p in parameters}

    everything = {name: schema for parameters in (*strategies.values(), pair, general) for name, schema in properties(parameters).items()}
    pairs = [
        {
            "type": "object",
            "properties": {"strategy": {"const": name}, "symbol": {"type": "string"}} | properties(pair) | properties(parameters),
            "required": ["strategy", "symbol"],
            "additionalProperties": False,
        }
        for name, parameters in strategies.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lemon.toml",
        "type": "object",
        "properties": {"version": {"const": FILE_VERSION}} | everything | {"pair": {"type": "array", "items": {"oneOf": pairs}}},
        "additionalProperties": False,
    }


def _refusal(detail: Any, origins: Mapping[str, str]) -> BadSetting:
    name = str(detail["loc"][0])
    error = detail.get("ctx", {}).get("error")
    assert isinstance(error, BadSetting), f"{name} was refused by something that is no declaration: {detail['type']}"
    return BadSetting(error.key, **(error.values | {"name": origins.get(name, name)}))
