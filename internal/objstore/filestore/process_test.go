package filestore

func contend() bool { return false }
