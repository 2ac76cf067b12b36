/* SPDX-License-Identifier: MIT */
/* Anything that is not exactly as the grammar has it is refused, so that nothing has to be guessed.
 */

#include "metrics-request.h"

#include <strings.h>

struct text {
	const char *at;
	size_t size;
};

const char *metrics_status_reason(enum metrics_status status)
{
	switch (status) {
	case METRICS_STATUS_OK:
		return "OK";
	case METRICS_STATUS_BAD_REQUEST:
		return "Bad Request";
	case METRICS_STATUS_NOT_FOUND:
		return "Not Found";
	case METRICS_STATUS_METHOD_NOT_ALLOWED:
		return "Method Not Allowed";
	case METRICS_STATUS_TIMEOUT:
		return "Request Timeout";
	case METRICS_STATUS_CONTENT_TOO_LARGE:
		return "Content Too Large";
	case METRICS_STATUS_FIELDS_TOO_LARGE:
		return "Request Header Fields Too Large";
	case METRICS_STATUS_UNAVAILABLE:
		return "Service Unavailable";
	case METRICS_STATUS_VERSION:
		return "HTTP Version Not Supported";
	}
	return "";
}

static bool text_is(struct text text, const char *word)
{
	return text.size == strlen(word) && memcmp(text.at, word, text.size) == 0;
}

static bool text_is_name(struct text text, const char *name)
{
	return text.size == strlen(name) && strncasecmp(text.at, name, text.size) == 0;
}

/* tchar of RFC 9110, section 5.6.2 */
static bool is_token(struct text text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return text.size > 0;
}

/* Up to the separator, which is dropped; false when it does not come. */
static bool cut(struct text *rest, const char *separator, struct text *ret)
{
	const char *end = memmem(rest->at, rest->size, separator, strlen(separator));

	if (!end)
		return false;
	*ret = (struct text){rest->at, (size_t)(end - rest->at)};
	rest->size -= ret->size + strlen(separator);
	rest->at = end + strlen(separator);
	return true;
}

static bool has_only(struct text text, unsigned char lowest, bool tabs)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if ((c < lowest && !(tabs && c == '\t')) || c == 0x7f)
			return false;
	}
	return true;
}

static enum metrics_status check_version(struct text version)
{
	if (text_is(version, "HTTP/1.1") || text_is(version, "HTTP/1.0"))
		return METRICS_STATUS_OK;
	return version.size == 8 && memcmp(version.at, "HTTP/", 5) == 0 && version.at[6] == '.'
		       ? METRICS_STATUS_VERSION
		       : METRICS_STATUS_BAD_REQUEST;
}

/* Origin form, or absolute form as a proxy would send it; a query changes nothing. */
static bool names_resource(struct text target)
{
	static const char scheme[] = "http://";
	struct text path = target, authority;
	const char *query;

	if (path.size > strlen(scheme) && memcmp(path.at, scheme, strlen(scheme)) == 0) {
		path.at += strlen(scheme);
		path.size -= strlen(scheme);
		if (!cut(&path, "/", &authority))
			return false;
		path.at--;
		path.size++;
	}
	query = memchr(path.at, '?', path.size);
	if (query)
		path.size = (size_t)(query - path.at);
	return text_is(path, METRICS_REQUEST_RESOURCE);
}

static enum metrics_status check_line(struct text line, bool *ret_head_only, bool *ret_needs_host)
{
	struct text method, target;
	enum metrics_status status;

	if (!cut(&line, " ", &method) || !cut(&line, " ", &target) || !is_token(method) ||
	    target.size == 0 || !has_only(target, 0x21, false))
		return METRICS_STATUS_BAD_REQUEST;
	status = check_version(line);
	if (status != METRICS_STATUS_OK)
		return status;
	*ret_needs_host = text_is(line, "HTTP/1.1");
	*ret_head_only = text_is(method, "HEAD");
	if (!names_resource(target))
		return METRICS_STATUS_NOT_FOUND;
	return text_is(method, "GET") || *ret_head_only ? METRICS_STATUS_OK
							: METRICS_STATUS_METHOD_NOT_ALLOWED;
}

static enum metrics_status check_field(struct text line, unsigned *hosts)
{
	struct text name;

	if (!cut(&line, ":", &name) || !is_token(name) || !has_only(line, 0x20, true))
		return METRICS_STATUS_BAD_REQUEST;
	while (line.size > 0 && (*line.at == ' ' || *line.at == '\t'))
		line = (struct text){line.at + 1, line.size - 1};
	if (text_is_name(name, "Host"))
		(*hosts)++;
	if (text_is_name(name, "Transfer-Encoding"))
		return METRICS_STATUS_CONTENT_TOO_LARGE;
	if (text_is_name(name, "Content-Length") && !text_is(line, "0"))
		return METRICS_STATUS_CONTENT_TOO_LARGE;
	return METRICS_STATUS_OK;
}

/* What is wrong with the head's grammar counts more than what it asks for. */
static enum metrics_status check_fields(struct text rest, bool needs_host)
{
	unsigned hosts = 0, fields = 0;
	struct text line;

	while (cut(&rest, "\r\n", &line) && line.size > 0) {
		enum metrics_status status = check_field(line, &hosts);

		if (status != METRICS_STATUS_OK)
			return status;
		if (++fields > METRICS_REQUEST_MAX_FIELDS)
			return METRICS_STATUS_FIELDS_TOO_LARGE;
	}
	return hosts > 1 || (needs_host && hosts == 0) ? METRICS_STATUS_BAD_REQUEST
						       : METRICS_STATUS_OK;
}

int metrics_request_verify(const char *bytes, size_t size_bytes, bool *ret_head_only)
{
	struct text rest = {bytes, size_bytes}, line;
	bool needs_host = false, head_only = false;
	enum metrics_status status, fields;

	if (!memmem(bytes, size_bytes, "\r\n\r\n", 4))
		return size_bytes < METRICS_REQUEST_MAX_BYTES ? 0 : METRICS_STATUS_FIELDS_TOO_LARGE;
	(void)cut(&rest, "\r\n", &line);
	status = check_line(line, &head_only, &needs_host);
	if (status != METRICS_STATUS_BAD_REQUEST && status != METRICS_STATUS_VERSION) {
		fields = check_fields(rest, needs_host);
		if (fields != METRICS_STATUS_OK)
			status = fields;
	}
	*ret_head_only = head_only;
	return (int)status;
}
