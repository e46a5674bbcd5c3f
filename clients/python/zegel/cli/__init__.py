"""The ``zegel`` command. It needs the extra ``zegel[cli]``."""
