"""Trains generated modules: every exit, named losses, in phases; a plain loop over an ordinary `torch.nn.Module`."""

from cogseedc.train.command import Report, Training, ports_of, train_file
from cogseedc.train.options import PHASES, Options
from cogseedc.train.roles import Roles, roles
from cogseedc.train.trainer import Step, train

__all__ = ["PHASES", "Options", "Report", "Roles", "Step", "Training", "ports_of", "roles", "train", "train_file"]
