"""The shape of the synthetic log."""

from __future__ import annotations

from din_core.config.options import config_class, option

#: Events of the shortest history that has a split of each kind: one to train on, and two held out.
LEAST_EVENTS = 3


@config_class
class SyntheticConfig:
    """Shape of the seeded synthetic log.

    A user has a few of the ``n_interests`` latent interests, and an interaction follows one of
    them: with ``p(item | interest) ~ item_rank ** -popularity_exponent * exp(affinity * cosine)``,
    the cosine being that of the item's and the interest's latent vectors. An item's vector is made
    of its category, of a style that runs across categories, and of something of its own.
    """

    n_users: int = option(2_000, "Users in the log.", ge=1)
    n_items: int = option(1_000, "Items in the catalogue.", ge=2 * LEAST_EVENTS)
    n_cates: int = option(
        50, "Categories the items fall into; their sizes follow a power law.", ge=1
    )
    mean_interactions: float = option(
        30.0, f"Mean events of a user; no user has fewer than {LEAST_EVENTS}.", ge=LEAST_EVENTS
    )
    interests_per_user: int = option(
        4, "Most latent interests a user has; each has from half of that on.", ge=1
    )
    n_interests: int = option(150, "Latent interests in all, shared by the users.", ge=1)
    n_styles: int = option(12, "Styles that run across the categories.", ge=1)
    style_weight: float = option(
        0.8,
        "Weight of the style beside the category's 1 in an item's vector. The larger, the less "
        "the category says about what a user likes.",
        ge=0,
    )
    own_weight: float = option(
        0.4, "Weight of the item's own part: taste that only the item's id can carry.", ge=0
    )
    affinity: float = option(
        12.0, "Inverse temperature of an interest: 0 makes popularity all there is.", ge=0
    )
    popularity_exponent: float = option(
        0.55, "Exponent of the power law of the items' popularity, 0 is uniform.", ge=0
    )
    exploration: float = option(
        0.05, "Share of interactions that follow popularity alone.", ge=0, lt=1
    )
    drift: float = option(
        0.5,
        "How strongly the focus wanders between a user's interests over time: amplitude of the "
        "log-weight of an interest, 0 keeps them all alive at any time.",
        ge=0,
    )
    focus_period: float = option(
        20.0, "Interactions after which the focus comes back, for `drift`.", ge=1
    )
    seed: int = option(2022, "Seed of every draw.", ge=0, lt=2**30)

    def contradiction(self) -> str | None:
        """Say whether there are fewer things than are to be chosen from them."""
        if self.n_cates > self.n_items:
            return f"n_cates is {self.n_cates}, must be at most n_items, {self.n_items}"
        if self.n_interests < self.interests_per_user:
            return (
                f"n_interests is {self.n_interests}, must be at least interests_per_user, "
                f"{self.interests_per_user}"
            )
        return None
