"""How an asset is made: checked before the commit, versioned by what runs, recorded and shown."""
