/* The options of the allocator, which jemalloc reads from this symbol (its manual, "TUNING"): one arena, and nothing freed
 * for longer than a second. The environment variable _RJEM_MALLOC_CONF comes after it. In C, since Rust gives a symbol a
 * name of its own only in `unsafe` code, which the program forbids. */
const char *_rjem_malloc_conf = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0,lg_tcache_max:12";
