"""What the agent, the probe and a deployment have to say, in plain words.

One catalogue for the web, the command line, JSON and e-mail alike. Codes of the layers below are
passed on to their own catalogues.
"""

from mailadmin.deployments.sentences.problems import PROBLEMS, say_problem
from mailadmin.deployments.sentences.steps import STEPS, say_step

__all__ = ["PROBLEMS", "STEPS", "say_problem", "say_step"]
