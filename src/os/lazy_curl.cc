// SPDX-License-Identifier: Apache-2.0
// libcurl, loaded when the first of its functions is called: with the thirty libraries that it needs it takes longer to load than most
// verbs of axon run (bench/convert). The functions are those of <curl/curl.h>, as far as they are used here, and pass on to the library;
// without it curl_easy_init and its like give null.
#include <dlfcn.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include <cstdarg>
#include <cstdint>

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

// The last named argument is an enumeration of <curl/curl.h>: clang warns that C++ leaves it open how that is passed.
#pragma GCC diagnostic ignored "-Wvarargs"

namespace {

// The one argument of a function like curl_easy_setopt is a long, a curl_off_t or a pointer: passed alike where they are of one size.
static_assert(sizeof(long) == sizeof(void*) && sizeof(curl_off_t) == sizeof(void*));

// Null when there is no such library here.
void* Symbol(const char* name) {
  static void* const library = dlopen(MLOS_LIBCURL, RTLD_LAZY | RTLD_LOCAL);
  return library == nullptr ? nullptr : dlsym(library, name);
}

}  // namespace

// A pointer to the library's function of that name, looked up once.
#define LIBRARY_FUNCTION(name) static const auto function = reinterpret_cast<decltype(&(name))>(Symbol(#name))

extern "C" {

CURLcode curl_global_init(long flags) {
  LIBRARY_FUNCTION(curl_global_init);
  return function == nullptr ? CURLE_FAILED_INIT : function(flags);
}

CURL* curl_easy_init() {
  LIBRARY_FUNCTION(curl_easy_init);
  return function == nullptr ? nullptr : function();
}

CURLcode curl_easy_setopt(CURL* handle, CURLoption option, ...) {
  LIBRARY_FUNCTION(curl_easy_setopt);
  va_list arguments;
  va_start(arguments, option);
  void* const value = va_arg(arguments, void*);
  va_end(arguments);
  return function == nullptr ? CURLE_FAILED_INIT : function(handle, option, value);
}

CURLcode curl_easy_getinfo(CURL* handle, CURLINFO info, ...) {
  LIBRARY_FUNCTION(curl_easy_getinfo);
  va_list arguments;
  va_start(arguments, info);
  void* const value = va_arg(arguments, void*);
  va_end(arguments);
  return function == nullptr ? CURLE_FAILED_INIT : function(handle, info, value);
}

CURLcode curl_easy_perform(CURL* handle) {
  LIBRARY_FUNCTION(curl_easy_perform);
  return function == nullptr ? CURLE_FAILED_INIT : function(handle);
}

const char* curl_easy_strerror(CURLcode code) {
  LIBRARY_FUNCTION(curl_easy_strerror);
  return function == nullptr ? MLOS_LIBCURL " cannot be loaded" : function(code);
}

void curl_easy_cleanup(CURL* handle) {
  LIBRARY_FUNCTION(curl_easy_cleanup);
  if (function != nullptr) function(handle);
}

curl_slist* curl_slist_append(curl_slist* list, const char* text) {
  LIBRARY_FUNCTION(curl_slist_append);
  return function == nullptr ? nullptr : function(list, text);
}

void curl_slist_free_all(curl_slist* list) {
  LIBRARY_FUNCTION(curl_slist_free_all);
  if (function != nullptr) function(list);
}

CURLM* curl_multi_init() {
  LIBRARY_FUNCTION(curl_multi_init);
  return function == nullptr ? nullptr : function();
}

CURLMcode curl_multi_setopt(CURLM* handle, CURLMoption option, ...) {
  LIBRARY_FUNCTION(curl_multi_setopt);
  va_list arguments;
  va_start(arguments, option);
  void* const value = va_arg(arguments, void*);
  va_end(arguments);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(handle, option, value);
}

CURLMcode curl_multi_add_handle(CURLM* multi, CURL* handle) {
  LIBRARY_FUNCTION(curl_multi_add_handle);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi, handle);
}

CURLMcode curl_multi_remove_handle(CURLM* multi, CURL* handle) {
  LIBRARY_FUNCTION(curl_multi_remove_handle);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi, handle);
}

CURLMcode curl_multi_perform(CURLM* multi, int* running) {
  LIBRARY_FUNCTION(curl_multi_perform);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi, running);
}

CURLMcode curl_multi_poll(CURLM* multi, curl_waitfd extra[], unsigned int count, int timeout_ms, int* ready) {
  LIBRARY_FUNCTION(curl_multi_poll);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi, extra, count, timeout_ms, ready);
}

CURLMcode curl_multi_wakeup(CURLM* multi) {
  LIBRARY_FUNCTION(curl_multi_wakeup);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi);
}

CURLMsg* curl_multi_info_read(CURLM* multi, int* left) {
  LIBRARY_FUNCTION(curl_multi_info_read);
  return function == nullptr ? nullptr : function(multi, left);
}

const char* curl_multi_strerror(CURLMcode code) {
  LIBRARY_FUNCTION(curl_multi_strerror);
  return function == nullptr ? MLOS_LIBCURL " cannot be loaded" : function(code);
}

CURLMcode curl_multi_cleanup(CURLM* multi) {
  LIBRARY_FUNCTION(curl_multi_cleanup);
  return function == nullptr ? CURLM_INTERNAL_ERROR : function(multi);
}

}  // extern "C"
