# nginx as in deploy/nginx, in front of the web containers of compose.yaml. Built from the project's folder.
FROM nginx:1.28-alpine
COPY deploy/nginx/snippets /etc/nginx/groundwork
COPY deploy/nginx/pages /etc/nginx/groundwork/pages
COPY deploy/compose/nginx.conf deploy/compose/site.conf /etc/nginx/
ARG FRONT=http
COPY deploy/compose/front-$FRONT.conf /etc/nginx/front.conf
COPY --chmod=755 deploy/compose/nginx-healthy.sh /usr/local/bin/nginx-healthy
RUN ln -sf /dev/stdout /var/log/nginx/groundwork.log \
    && chmod -R u=rwX,go=rX /etc/nginx/groundwork /etc/nginx/nginx.conf /etc/nginx/site.conf /etc/nginx/front.conf
USER 101:101
EXPOSE 8080 8443
HEALTHCHECK --interval=2s --timeout=3s --retries=30 CMD ["nginx-healthy"]
ENTRYPOINT ["nginx"]
CMD ["-g", "daemon off;"]
