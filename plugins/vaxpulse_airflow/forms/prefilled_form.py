"""A form for a user's decision whose fields are prefilled for each run."""

import copy
from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator


class PrefilledFormOperator(HITLOperator):
    """HITLOperator with values of its form fields that are known only when the task starts.

    Args:
        prefilled: value of each field (templated).
    """

    template_fields = (*HITLOperator.template_fields, "prefilled")

    def __init__(self, *, prefilled: Mapping[str, Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.prefilled = prefilled

    def execute(self, context: Any) -> Any:
        """Show the form with the prefilled values."""
        self.params = copy.deepcopy(self.params)  # a copy of a task shares them
        for name, value in self.prefilled.items():
            self.params[name] = value
        return super().execute(context)

    def validate_params_input(self, params_input: Mapping[str, Any]) -> None:
        """Check the answer. A field that an answer by the REST API does not contain is empty."""
        super().validate_params_input(dict.fromkeys(self.params) | dict(params_input))
