/*
 * What Debian's libstdc++ and libgcc want of glibc and musl has not: with it they run on musl, where a distribution of
 * musl's would have builds of its own. For trying the musl programs on Debian; nothing of it is published.
 */
typedef unsigned long size_t;
struct tm;
struct locale;
long getrandom(void *, size_t, unsigned);
size_t strftime_l(char *, size_t, const char *, const struct tm *, struct locale *);
int __cxa_atexit(void (*)(void *), void *, void *);

unsigned arc4random(void) {
  unsigned n;
  getrandom(&n, sizeof n, 0);
  return n;
}
size_t __strftime_l(char *to, size_t size, const char *format, const struct tm *time, struct locale *locale) {
  return strftime_l(to, size, format, time, locale);
}
int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library) {
  return __cxa_atexit(run, object, library);
}
unsigned long getauxval(unsigned long);
unsigned long __getauxval(unsigned long type) { return getauxval(type); }
/* Not found: libgcc looks the frame up in another way. */
int _dl_find_object(void *address, void *result) { return -1; }
char __libc_single_threaded = 0;
int __cpu_indicator_init(void) { return 0; }
unsigned __cpu_model[4];
unsigned __cpu_features2[8];
