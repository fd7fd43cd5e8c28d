"""Options models and component slots: one source for validation, error text, schema and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from zoo.errors import InputError, did_you_mean, nearest
from zoo.registry import RegisteredComponent, Registry, current_registry
from zoo.spec.explain import error_at, explained, shown

SLOT_MARK = "x-zoo-slot"
"""The key that stands for a slot in a raw JSON Schema until `zoo.spec.schema` fills it in."""


@dataclass(frozen=True)
class Objection:
    """Why a component's options cannot stand beside a section of the spec."""

    message: str
    """One line: what was found, and what is too much or too little about it."""
    option: str | None = None
    """The option that is to be pointed at; None where it is the section."""


class Options(BaseModel):
    """Base of every options model: frozen, strict, unknown keys refused with the nearest valid one.

    Give every field a description: it is the documentation, the schema and the error message.
    Use `tuple` or `list` fields alike: sequences arrive as YAML sequences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)
    moved: ClassVar[Mapping[str, str]] = {}
    """Keys that stood here in earlier versions, and what is written today."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that earlier versions did not have, whose default is what these versions did. At the default they are left
    out of the plain form, so that a spec written before keeps its hash, and a cell measured before its key."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(data, cls):
            return handler(data)
        if not isinstance(data, dict):
            message = f"expected a mapping with the keys {', '.join(cls.model_fields)}"
            raise ValidationError.from_exception_data(cls.__name__, [error_at((), message, data)])
        known = cls.model_fields
        errors: list[InitErrorDetails] = [
            error_at((key,), _unknown(key, cls), value, at_key=True) for key, value in data.items() if key not in known
        ]
        # A misspelt key is one mistake, not also a missing one.
        meant = {nearest(key, known) for key in data if key not in known and key not in cls.moved}
        try:
            valid = handler({key: value for key, value in data.items() if key in known})
        except ValidationError as error:
            errors.extend(explained(error, cls, meant))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return valid

    def plain(self) -> dict[str, Any]:
        """The options as plain data, ready for YAML or JSON, every default written out but those of `later`."""
        return self.model_dump(mode="json")

    def objection(self, section: Options) -> Objection | None:
        """What these options, a component's, have against `section`; None where nothing is wrong.

        The section is what a spec says of the component's use, resolved: of a decoding strategy the decoding section,
        of a generator the training section. Override it where an option's range depends on these.
        """
        return None

    @model_serializer(mode="wrap")
    def _without_later_fields_at_their_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        for name in self.later:
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                plain.pop(name, None)
        return plain


def _unknown(key: str, model: type[Options]) -> str:
    if key in model.moved:
        return f"the key '{key}' has moved: write {model.moved[key]}"
    if not model.model_fields:
        return f"unknown key '{key}': there are no options here"
    return f"unknown key '{key}': {did_you_mean(key, model.model_fields)}"


class NoOptions(Options):
    """The options of a component that has none."""


@dataclass(frozen=True)
class Chosen:
    """A component chosen in a spec, with its validated options."""

    component: RegisteredComponent
    options: Options

    @property
    def kind(self) -> str:
        return self.component.kind

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def id(self) -> str:
        return self.component.id

    def load(self) -> Any:
        """Import the component's implementation (a class or factory)."""
        return self.component.load()

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Call the implementation as ``target(options, *args, **kwargs)``."""
        return self.load()(self.options, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Chosen:
        # Nothing of it changes, and the registry's records cannot be copied.
        return self

    def plain(self) -> dict[str, Any]:
        """``{use: <distribution>/<name>, **options}``, ready for YAML or JSON."""
        return {"use": self.id, **self.options.plain()}


@dataclass(frozen=True)
class Slot:
    """Marks a field as a place for one component: ``position: Annotated[Chosen, Slot("position")]``.

    In YAML the field takes a name (``rotary``) or a mapping (``{use: rotary, base: 10000}``).
    """

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda chosen: chosen.plain()),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
        return {SLOT_MARK: self.kind}

    def _validate(self, value: Any, info: ValidationInfo) -> Chosen:
        if isinstance(value, Chosen):
            if value.kind != self.kind:
                raise PydanticCustomError(
                    "zoo", "{message}", {"message": f"expected a {self.kind}, found the {value.kind} '{value.id}'"}
                )
            return value
        registry: Registry = (info.context or {}).get("registry") or current_registry()
        where: tuple[str, ...] = ()
        options: dict[str, Any] = {}
        name = value
        if isinstance(value, dict):
            where = ("use",) if "use" in value else ()
            name = value.get("use")
            options = {key: item for key, item in value.items() if key != "use"}
        if not isinstance(name, str):
            found = "a mapping without 'use'" if isinstance(value, dict) and not where else shown(name)
            message = (
                f"expected the name of a {self.kind} or {{use: NAME, ...}}, found {found}: "
                f"{did_you_mean('', registry.names(self.kind))}"
            )
            raise ValidationError.from_exception_data(self.kind, [error_at(where, message, value)])
        try:
            component = registry.get(self.kind, name)
        except InputError as error:
            raise ValidationError.from_exception_data(self.kind, [error_at(where, error.message, value)]) from None
        model = component.load_options()
        return Chosen(component, model.model_validate(options, context=info.context))
