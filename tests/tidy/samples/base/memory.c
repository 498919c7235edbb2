void memory_free(void *memory)
{
	free(memory);
}
