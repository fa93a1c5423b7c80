# %% [markdown]
# # How do collapse and local elasticity develop at every layer of an MLP on digits?
#
# Does every layer collapse, the deeper the more and by the same factor, and does a step on a sample move its
# own class further than the others?
#
# After `papyan2020prevalence`, `tirer2022extended`, `he2023law`, `he2020local` (`elastic/references.bib`).
#
# Study `quickstart`, read from its cube: every number and every sentence below is computed from it. Written by
# `elastic notebook`; yours to change.

# %%
import pandas as pd
from IPython.display import Markdown

import elastic
from elastic.display import conclusion

study = elastic.open_study(".")
study

# %%
cube = study.cube  # an xarray.DataTree; no torch is needed to read it
{group: dict(node.sizes) for group, node in cube.children.items()}

# %% [markdown]
# ## Does the network collapse?
#
# NC1 to NC4 at the last hidden layer, and the accuracy, over the epochs; at collapse NC1 to NC4 are 0.

# %%
study.plot.neural_collapse()

# %% [markdown]
# ## Did the network fit?
#
# Accuracy at the last epoch: mean and 95 % interval over the seeds.

# %%
accuracy = cube.elastic.interval("accuracy", split=None, where={"epoch": -1})
accuracy.reset_coords(drop=True).to_dataframe()

# %%
study.plot.training_curves()

# %% [markdown]
# ## How far is each layer collapsed?
#
# `nc1` is the variability within classes against the spread of the class means; 0 is collapse.

# %%
study.plot.depth_profile()

# %% [markdown]
# If layers separate the classes alike (the law of equi-separation), the log of the fuzziness falls on a line,
# by the factor `ratio` a layer. One fit a seed, hidden layers, last probe.

# %%
law = cube.elastic.separation_law(where={"epoch": -1})
law[["ratio", "r_squared"]].reset_coords(drop=True).to_dataframe()

# %%
study.plot.separation_law()

# %% [markdown]
# ## Which layer collapses first?
#
# Epoch from which a layer has made half of its fall of log `nc1`, seed by seed; NaN: not so far.

# %%
cube.elastic.onset().to_pandas()

# %%
study.plot.onset_map()

# %% [markdown]
# ## Does local elasticity follow?
#
# `locality` is how much a step on a sample moves its own class against the others; 1 is not local at all.

# %%
study.plot.locality_collapse()

# %% [markdown]
# By how many probes changes of locality come before those of `nc1`, seed by seed; below 0 they come after. A
# dozen probes tell little of it: only what the seeds agree on means anything.

# %%
cube.elastic.lead().to_pandas()

# %%
study.plot.response_matrices()

# %% [markdown]
# ## What was claimed, and does it hold?

# %%
checked = elastic.check(study)
pd.set_option("display.max_colwidth", None, "display.html.use_mathjax", False)
pd.DataFrame(
    {
        "claim": verdict.sentence,
        "verdict": finding.verdict,
        **finding.setting,
        "effect": finding.effect,
        "lower": finding.lower,
        "upper": finding.upper,
        "seeds": finding.seeds,
    }
    for verdict in checked.verdicts
    for finding in verdict.findings
)

# %% [markdown]
# ## What is the answer?
#
# Each sentence hangs on its interval over the seeds (95 %).

# %%
Markdown(conclusion(cube))
