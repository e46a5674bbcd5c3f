"""``zegel``: the command. It needs the extra ``zegel[cli]``."""
